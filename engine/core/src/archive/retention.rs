//! What of an archive may be removed: which backups stay, and which pieces nothing needs any more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::name::{Extent, FenceName, ManifestName, PieceName};
use super::route::route;

/// Which backups stay. A backup stays if one of the rules keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many of the newest backups that are complete stay. At least one does, whatever this number is.
    pub keep_last: usize,
    /// Backups that were taken after this time stay, and so do pieces that were stored after it on branches that the
    /// log has left.
    pub since: Timestamp,
    /// These stay.
    pub keep: BTreeSet<ManifestName>,
}

/// A piece, as a list of the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPiece {
    /// Its name.
    pub name: PieceName,
    /// Its length, bytes.
    pub bytes: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// A backup, as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBackup {
    /// Its name.
    pub name: ManifestName,
    /// When it was taken, or when the manifest was stored if that cannot be read.
    pub created: Timestamp,
    /// The pieces that it needs; `None` if the manifest is damaged.
    pub pieces: Option<Vec<PieceName>>,
}

/// Everything in the archive of a log that can be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The pieces.
    pub pieces: Vec<StoredPiece>,
    /// The backups.
    pub backups: Vec<StoredBackup>,
    /// The fences, which stay.
    pub fences: Vec<FenceName>,
    /// Names that an earlier removal was to remove and has not. Nobody reads them any more.
    pub announced: BTreeSet<String>,
}

/// What is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Backups, the oldest first.
    pub backups: Vec<ManifestName>,
    /// Pieces that no backup that stays needs, nor the log.
    pub pieces: Vec<PieceName>,
    /// Number of backups that stay.
    pub kept: usize,
}

/// What the rules permit to remove.
#[must_use]
pub fn removal(stock: &Stock, rules: &Rules) -> Removal {
    let stays = staying(stock, rules);
    let mut needed = on_the_way(stock);
    for backup in stock.backups.iter().filter(|backup| stays.contains(&backup.name)) {
        needed.extend(backup.pieces.iter().flatten().map(PieceName::to_string));
    }
    let sealed = sealed_end(stock);
    let reached = size(stock);
    let may_go = |piece: &&StoredPiece| {
        let name = piece.name.to_string();
        if needed.contains(&name) {
            return false;
        }
        if stock.announced.contains(&name) {
            return true;
        }
        let is_left = is_left_piece(&piece.name, &stock.fences);
        let is_replaced = piece.name.extent == Extent::Tail && !is_left && piece.name.last_seq <= sealed;
        // What nothing leads to, and no writer has left, may be what is left of a damaged archive. It stays.
        let is_of_a_branch = is_left || piece.name.last_seq <= reached;
        is_replaced || (is_of_a_branch && piece.stored_at < rules.since)
    };
    let mut backups: Vec<(Timestamp, ManifestName)> = stock
        .backups
        .iter()
        .filter(|backup| !stays.contains(&backup.name))
        .map(|backup| (backup.created, backup.name.clone()))
        .collect();
    backups.sort();
    Removal {
        backups: backups.into_iter().map(|(_, name)| name).collect(),
        pieces: stock.pieces.iter().filter(may_go).map(|piece| piece.name.clone()).collect(),
        kept: stays.len(),
    }
}

/// The backups that stay.
fn staying(stock: &Stock, rules: &Rules) -> BTreeSet<ManifestName> {
    let there: BTreeSet<String> = stock.pieces.iter().map(|piece| piece.name.to_string()).collect();
    let is_complete = |backup: &&StoredBackup| {
        let pieces = backup.pieces.as_ref();
        pieces.is_some_and(|pieces| pieces.iter().all(|piece| there.contains(&piece.to_string())))
    };
    let is_announced = |backup: &StoredBackup| stock.announced.contains(&backup.name.to_string());
    let is_left = |name: &ManifestName| {
        stock.fences.iter().any(|fence| name.epoch < fence.epoch && name.size > fence.seq)
    };
    let mut newest: Vec<&StoredBackup> = stock
        .backups
        .iter()
        .filter(|backup| !is_left(&backup.name) && !is_announced(backup))
        .filter(is_complete)
        .collect();
    newest.sort_by_key(|backup| std::cmp::Reverse((backup.name.epoch, backup.name.size, backup.created)));
    let newest = newest.into_iter().take(rules.keep_last.max(1)).map(|backup| backup.name.clone());
    let young = stock
        .backups
        .iter()
        .filter(|backup| {
            rules.keep.contains(&backup.name) || backup.created >= rules.since && !is_announced(backup)
        })
        .map(|backup| backup.name.clone());
    newest.chain(young).collect()
}

/// Names of the pieces that lead through the log, and of those of sealed segments alone, which a writer continues.
fn on_the_way(stock: &Stock) -> BTreeSet<String> {
    let (all, segments) = (names(stock, |_| true), names(stock, |extent| extent == Extent::Segment));
    let ways = [route(&all, &stock.fences), route(&segments, &stock.fences)];
    ways.iter().flat_map(|way| &way.pieces).map(PieceName::to_string).collect()
}

/// Number of the last event that sealed segments reach.
fn sealed_end(stock: &Stock) -> u64 {
    route(&names(stock, |extent| extent == Extent::Segment), &stock.fences).size()
}

/// Number of the last event that can be restored.
fn size(stock: &Stock) -> u64 {
    route(&names(stock, |_| true), &stock.fences).size()
}

/// The pieces that count: what an earlier removal has announced does not.
fn names(stock: &Stock, which: impl Fn(Extent) -> bool) -> Vec<PieceName> {
    let counts =
        |piece: &&StoredPiece| which(piece.name.extent) && !stock.announced.contains(&piece.name.to_string());
    stock.pieces.iter().filter(counts).map(|piece| piece.name.clone()).collect()
}

fn is_left_piece(name: &PieceName, fences: &[FenceName]) -> bool {
    fences.iter().any(|fence| name.epoch < fence.epoch && name.last_seq > fence.seq)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
