//! Removes what the rules of retention permit. What is removed is announced first, in a boundary: who names or reads
//! objects looks at it, so that nobody ever needs what is gone. A removal that ends anywhere is completed by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine_core::archive::boundary::{Boundary, PinName, REMOVED_MAX};
use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::{ManifestName, PieceName};
use engine_core::archive::retention::{Removal, Rules, Stock, StoredBackup, StoredPiece, removal};
use engine_core::archive::volume_keys;
use engine_core::digest::hex;
use engine_core::wire::Pruned;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::repository::{BadObject, Repository, StoredName, random};
use crate::store::{Listed, Store, StoreError};

/// Rounds of one removal. Each announces and removes up to [`REMOVED_MAX`] objects; what is left goes next time.
const ROUNDS_MAX: usize = 20;
/// Calls that delete at the same time.
const DELETES: usize = 16;
/// How old a table or an object with keys must be that nothing names before it is removed. A writer stores the keys
/// before what names them; a day is far longer than that takes.
const ORPHAN_AGE: SignedDuration = SignedDuration::from_hours(24);

/// How old a file of a write that did not end must be. A writer that still runs needs a fraction of it.
const LEFTOVER_AGE: Duration = Duration::from_secs(3_600);

/// Why a removal ended early. What it has not removed stays usable, or is removed by the next one.
#[derive(Debug, Error)]
pub enum PruneError {
    #[error("the store does not honour conditional creates, so that removals could not be announced safely")]
    Unconditional,
    #[error("somebody reads the archive until {0} at the latest")]
    Pinned(Timestamp),
    #[error("the archive has no log {0}")]
    NoLog(String),
    #[error("the archive has no backup {0}")]
    NoBackup(String),
    #[error("another removal runs")]
    Busy,
    #[error("a manifest could not be read, so that nobody knows what it needs: {0}")]
    Manifest(BadObject),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// One removal from the archive of a log.
struct Removing<'a> {
    log: &'a Repository,
    log_id: &'a str,
    rules: &'a Rules,
    now: Timestamp,
    /// Manifests that were read. They never change.
    known: BTreeMap<ManifestName, Known>,
    /// Objects that the store does not permit to remove.
    refused: BTreeSet<String>,
    pruned: Pruned,
}

/// What a manifest says.
#[derive(Clone)]
struct Known {
    backup: StoredBackup,
    volume_keys: Option<String>,
}

impl Repository {
    /// Removes what the rules permit from the archive of this log; with `dry_run` only says what that is.
    ///
    /// # Errors
    /// Why not everything was removed.
    pub(crate) async fn prune(
        &self,
        log_id: &str,
        rules: &Rules,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Pruned, PruneError> {
        let (known, refused, pruned) = (BTreeMap::new(), BTreeSet::new(), Pruned::default());
        let mut removing = Removing { log: self, log_id, rules, now, known, refused, pruned };
        match dry_run {
            true => removing.look().await?,
            false => removing.remove().await?,
        }
        let skipped = removing.refusal();
        Ok(Pruned { skipped, ..removing.pruned })
    }
}

impl Removing<'_> {
    /// Says what would be removed.
    async fn look(&mut self) -> Result<(), PruneError> {
        let (stock, _) = self.stock().await?;
        let found = removal(&stock, self.rules);
        let backups = found.backups.iter().map(ManifestName::to_string).collect();
        self.note(&stock, backups, &found.pieces);
        self.pruned.kept = found.kept;
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), PruneError> {
        let probe = format!("probes/{}", hex(&random::<16>()));
        if !self.log.pieces.honours_conditions(&probe).await? {
            return Err(PruneError::Unconditional);
        }
        self.check_pins().await?;
        for store in [&self.log.pieces, &self.log.keys] {
            store.remove_leftovers(LEFTOVER_AGE).await;
        }
        for _ in 0..ROUNDS_MAX {
            if !self.round().await? {
                break;
            }
        }
        self.remove_orphans().await
    }

    /// Announces and removes up to [`REMOVED_MAX`] objects. Returns whether there may be more.
    async fn round(&mut self) -> Result<bool, PruneError> {
        let (stock, number) = self.stock().await?;
        let Removal { backups, pieces, kept } = removal(&stock, self.rules);
        self.pruned.kept = kept;
        let names = backups.iter().map(ManifestName::to_string);
        let all = names.chain(pieces.iter().map(PieceName::to_string));
        let removed: BTreeSet<String> = all.take(REMOVED_MAX).collect();
        if removed.is_empty() {
            return Ok(false);
        }
        self.announce(Boundary { number: number + 1, removed: removed.clone() }).await?;
        // Who reads has put a pin before it looked at the boundary, so that one of both is seen.
        self.check_pins().await?;
        // A backup that was taken meanwhile may need a piece, whatever its writer does when it sees the boundary.
        let (stock, _) = self.stock().await?;
        let needed: BTreeSet<String> = stock
            .backups
            .iter()
            .filter(|backup| !removed.contains(&backup.name.to_string()))
            .flat_map(|backup| backup.pieces.iter().flatten().map(PieceName::to_string))
            .collect();
        let goes = |name: &String| removed.contains(name) && !needed.contains(name);
        let backups: Vec<String> = backups.iter().map(ManifestName::to_string).filter(goes).collect();
        let pieces: Vec<PieceName> = pieces.into_iter().filter(|name| goes(&name.to_string())).collect();
        let Repository { pieces: store, keys, .. } = self.log;
        // Manifests first, so that none ever names what is gone. One that the store keeps was announced, so that it
        // counts for nobody.
        let mut refused = delete(store, backups.clone()).await?;
        refused.extend(delete(store, pieces.iter().map(PieceName::to_string).collect()).await?);
        let is_gone = |name: &String| !refused.contains(name);
        let backups: Vec<String> = backups.into_iter().filter(is_gone).collect();
        let pieces: Vec<PieceName> = pieces.into_iter().filter(|name| is_gone(&name.to_string())).collect();
        // A table without its piece is removed later, if this ends here.
        refused.extend(delete(keys, pieces.iter().map(PieceName::keys).collect()).await?);
        self.note(&stock, backups, &pieces);
        // What the store keeps would be announced again, and nothing else.
        let may_be_more = removed.len() == REMOVED_MAX && refused.is_empty();
        self.refused.extend(refused);
        Ok(may_be_more)
    }

    /// Why not everything was removed, if the store did not permit it.
    fn refusal(&self) -> Option<String> {
        let first = self.refused.first()?;
        let count = self.refused.len();
        Some(format!(
            "the store does not permit {count} objects to be removed, the first is {first}: they are locked, or the \
             credentials do not permit to delete. Everything else was removed; it is tried again after the next backup"
        ))
    }

    /// Creates the boundary, which must be the one that counts, and removes the earlier ones.
    async fn announce(&self, boundary: Boundary) -> Result<(), PruneError> {
        let store = &self.log.pieces;
        match store.create(&Boundary::name(boundary.number), &boundary.encode()).await {
            Ok(_) => {}
            Err(StoreError::Different(_)) => return Err(PruneError::Busy),
            Err(fault) => return Err(fault.into()),
        }
        let numbers = self.log.boundaries().await?;
        if numbers.last() != Some(&boundary.number) {
            return Err(PruneError::Busy);
        }
        let earlier = numbers.into_iter().filter(|number| *number < boundary.number).map(Boundary::name);
        // One that stays does no harm: the largest number counts.
        let _kept = delete(store, earlier.collect()).await?;
        Ok(())
    }

    /// Refuses while somebody reads, and removes pins that have ended.
    async fn check_pins(&self) -> Result<(), PruneError> {
        let listed = self.log.pieces.list(PinName::FOLDER).await?;
        let pins: Vec<PinName> = listed.iter().filter_map(|object| PinName::parse(&object.name)).collect();
        if let Some(until) = pins.iter().map(|pin| pin.until).filter(|until| *until > self.now).max() {
            return Err(PruneError::Pinned(until));
        }
        // One that stays has ended.
        let _kept = delete(&self.log.pieces, pins.iter().map(PinName::to_string).collect()).await?;
        Ok(())
    }

    /// Everything that the decision depends on, and the number of the boundary that counts.
    async fn stock(&mut self) -> Result<(Stock, u64), PruneError> {
        let boundary = self.log.boundary().await?;
        let names = self.log.all_names().await?;
        let mut backups = Vec::new();
        for stored in &names.manifests {
            backups.push(self.known(stored).await?.backup);
        }
        let pieces = names.pieces.iter().map(|piece| StoredPiece {
            name: piece.name.clone(),
            bytes: piece.bytes,
            stored_at: piece.stored_at,
        });
        let pieces = pieces.collect();
        let stock = Stock { pieces, backups, fences: names.fences, announced: boundary.removed };
        Ok((stock, boundary.number))
    }

    /// What a manifest says.
    async fn known(&mut self, stored: &StoredName<ManifestName>) -> Result<Known, PruneError> {
        let StoredName { name, stored_at, .. } = stored;
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let of = |created, pieces| StoredBackup { name: name.clone(), created, pieces };
        let known = match self.log.manifest(self.log_id, name).await {
            Ok(manifest) => Known {
                backup: of(manifest.created, manifest.piece_names()),
                volume_keys: manifest.volume_keys.map(|object| object.name),
            },
            Err(bad) if bad.is_damaged => Known { backup: of(*stored_at, None), volume_keys: None },
            Err(bad) => return Err(PruneError::Manifest(bad)),
        };
        self.known.insert(name.clone(), known.clone());
        Ok(known)
    }

    /// Removes tables whose pieces are gone, and keys of the volume that no backup names.
    async fn remove_orphans(&mut self) -> Result<(), PruneError> {
        // The keys are listed before what names them, so that the age is only needed for what is stored meanwhile.
        let mut keys = self.log.keys.list(KeyTable::FOLDER).await?;
        keys.extend(self.log.keys.list(volume_keys::FOLDER).await?);
        let names = self.log.all_names().await?;
        let mut named: BTreeSet<String> = names.pieces.iter().map(|piece| piece.name.keys()).collect();
        for stored in &names.manifests {
            named.extend(self.known(stored).await?.volume_keys);
        }
        let is_orphan = |object: &Listed| {
            let age = self.now.duration_since(object.stored_at);
            !named.contains(&object.name) && age > ORPHAN_AGE
        };
        let orphans: Vec<String> = keys.into_iter().filter(is_orphan).map(|object| object.name).collect();
        let count = orphans.len();
        let refused = delete(&self.log.keys, orphans).await?;
        self.pruned.keys += count - refused.len();
        self.refused.extend(refused);
        Ok(())
    }

    fn note(&mut self, stock: &Stock, backups: Vec<String>, pieces: &[PieceName]) {
        let gone: BTreeSet<String> = pieces.iter().map(PieceName::to_string).collect();
        let gone = stock.pieces.iter().filter(|piece| gone.contains(&piece.name.to_string()));
        self.pruned.bytes += gone.map(|piece| piece.bytes).sum::<u64>();
        self.pruned.pieces += pieces.len();
        self.pruned.keys += pieces.len();
        self.pruned.backups.extend(backups);
    }
}

/// Deletes objects, several at a time. Returns those that the store does not permit to remove; the others are gone.
async fn delete(store: &Store, names: Vec<String>) -> Result<BTreeSet<String>, StoreError> {
    let deletes = futures::stream::iter(names).map(|name| async move {
        match store.delete(&name).await {
            Err(StoreError::Kept(_)) => Ok(Some(name)),
            deleted => deleted.map(|()| None),
        }
    });
    let refused: Vec<_> = deletes.buffer_unordered(DELETES).collect().await;
    refused.into_iter().filter_map(Result::transpose).collect()
}
