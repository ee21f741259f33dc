//! Chooses what is restored: a backup, and the pieces that lead to it and beyond.

use engine_core::archive::manifest::Manifest;
use engine_core::archive::name::{ManifestName, PieceName};
use engine_core::archive::route::route;
use engine_core::digest::Hash;

use crate::repository::Names;

/// What somebody wants to restore.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Id of the log; needed only if the archive has several.
    pub log_id: Option<String>,
    /// Name of the manifest; the newest by default.
    pub backup: Option<String>,
    /// Last event to restore; as many as there are by default.
    pub until: Option<u64>,
    /// Number of events that the log must at least have, and the root of the tree over them.
    pub at_least: Option<(u64, Hash)>,
    /// Restore exactly the backup, and try no other one: a check of it.
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
}

/// The attempts for one backup: with everything that was archived after it, then the backup alone.
pub(crate) fn plans(name: &ManifestName, manifest: &Manifest, names: &Names, wanted: &Wanted) -> Vec<Plan> {
    let own = manifest.piece_names().unwrap_or_default();
    let found = route(&names.piece_names(), &names.fences);
    let needed = |pieces: Vec<PieceName>| -> Vec<PieceName> {
        let until = wanted.until.unwrap_or(u64::MAX);
        pieces.into_iter().take_while(|piece| piece.first_seq <= until).collect()
    };
    let is_further = !wanted.exactly && found.size() > manifest.size && !names.is_left(name);
    let further = is_further.then(|| needed(found.pieces));
    let own = needed(own);
    let mut chosen: Vec<Vec<PieceName>> = further.into_iter().collect();
    if !chosen.contains(&own) {
        chosen.push(own);
    }
    let plan = |pieces| Plan { name: name.clone(), manifest: manifest.clone(), pieces };
    chosen.into_iter().map(plan).collect()
}
