//! Chooses what is restored: a backup, and the pieces that lead to it and beyond.

use engine_core::archive::manifest::Manifest;
use engine_core::archive::name::{ManifestName, PieceName};
use engine_core::archive::route::route;
use engine_core::digest::Hash;
use jiff::Timestamp;

use crate::repository::Names;

/// The last event that is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The event with this number.
    Event(u64),
    /// The last event that was recorded at or before this time.
    Time(Timestamp),
}

/// What somebody wants to restore.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Id of the log; needed only if the archive has several.
    pub log_id: Option<String>,
    /// Name of the manifest; the newest by default.
    pub backup: Option<String>,
    /// Last event to restore; as many as there are by default.
    pub until: Option<Until>,
    /// Number of events that the log must at least have, and the root of the tree over them.
    pub at_least: Option<(u64, Hash)>,
    /// Restore exactly the backup, and try no other one: a check of it. More is restored only if a later event has
    /// forgotten something of the backup.
    pub exactly: bool,
    /// Id of the request: what was restored for it is not restored again.
    pub once: Option<String>,
    /// Why, for the event that records the restore.
    pub reason: Option<String>,
}

/// What one attempt restores.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: ManifestName,
    pub(crate) manifest: Manifest,
    pub(crate) pieces: Vec<PieceName>,
    /// Whether it has more than the backup.
    pub(crate) is_further: bool,
}

/// The attempts for one backup: with everything that was archived after it, then the backup alone. A check of a backup
/// takes the backup alone first.
pub(crate) fn plans(name: &ManifestName, manifest: &Manifest, names: &Names, wanted: &Wanted) -> Vec<Plan> {
    let own = manifest.piece_names().unwrap_or_default();
    let found = route(&names.piece_names(), &names.fences);
    let needed = |pieces: Vec<PieceName>| -> Vec<PieceName> {
        let until = match wanted.until {
            Some(Until::Event(seq)) => seq,
            // How far that is, the pieces say.
            Some(Until::Time(_)) | None => u64::MAX,
        };
        pieces.into_iter().take_while(|piece| piece.first_seq <= until).collect()
    };
    let is_further = found.size() > manifest.size && !names.is_left(name);
    let further = is_further.then(|| needed(found.pieces));
    let own = needed(own);
    let plan =
        |pieces, is_further| Plan { name: name.clone(), manifest: manifest.clone(), pieces, is_further };
    let mut chosen = vec![plan(own.clone(), false)];
    if let Some(further) = further.filter(|further| *further != own) {
        chosen.insert(usize::from(wanted.exactly), plan(further, true));
    }
    chosen
}
