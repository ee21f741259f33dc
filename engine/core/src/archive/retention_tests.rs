use proptest::prelude::*;

use super::super::name::ShortHash;
use super::*;
use crate::digest::Hash;

/// The hash of an event on a branch. Branches have the same events up to number 10.
fn hash(seq: u64, branch: u64) -> ShortHash {
    match seq {
        0 => ShortHash::ZERO,
        1..=10 => Hash::of(format!("{seq}").as_bytes()).into(),
        _ => Hash::of(format!("{seq} {branch}").as_bytes()).into(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn piece(extent: Extent, (first, last): (u64, u64), (epoch, branch): (u64, u64)) -> PieceName {
    PieceName {
        extent,
        first_seq: first,
        last_seq: last,
        epoch,
        prev: hash(first - 1, branch),
        last: hash(last, branch),
        sha256: Hash::of(format!("{extent:?} {first} {last} {epoch} {branch}").as_bytes()),
    }
}

fn tail(first: u64, last: u64) -> PieceName {
    piece(Extent::Tail, (first, last), (1, 0))
}

fn segment(first: u64, last: u64) -> PieceName {
    piece(Extent::Segment, (first, last), (1, 0))
}

fn stored(name: PieceName, stored_at: i64) -> StoredPiece {
    StoredPiece { name, bytes: 1, stored_at: at(stored_at) }
}

fn backup(size: u64, epoch: u64, created: i64, pieces: &[PieceName]) -> StoredBackup {
    let sha256 = Hash::of(format!("{size} {epoch} {created}").as_bytes());
    let name = ManifestName { size, epoch, sha256 };
    StoredBackup { name, created: at(created), pieces: Some(pieces.to_vec()) }
}

fn rules(keep_last: usize, since: i64) -> Rules {
    Rules { keep_last, since: at(since), keep: BTreeSet::new() }
}

fn fence(seq: u64, epoch: u64) -> FenceName {
    FenceName { seq, epoch, last: hash(seq, 0) }
}

#[test]
fn tails_that_a_segment_replaces_go_and_a_backup_that_needs_them_keeps_them() {
    let (replaced, whole, after) = ([tail(1, 2), tail(3, 5)], segment(1, 5), tail(6, 7));
    let old = backup(2, 1, 10, &replaced[..1]);
    let new = backup(7, 1, 20, &[whole.clone(), after.clone()]);
    let pieces = [&replaced[..], &[whole, after]].concat();
    let pieces = pieces.into_iter().map(|name| stored(name, 5)).collect();
    let stock = Stock { pieces, backups: vec![old.clone(), new.clone()], ..Stock::default() };
    let found = removal(&stock, &rules(2, 100));
    assert_eq!((found.backups, found.pieces, found.kept), (vec![], vec![replaced[1].clone()], 2));
    let found = removal(&stock, &rules(0, 100));
    assert_eq!((found.backups, found.pieces), (vec![old.name.clone()], replaced.to_vec()));
    let found = removal(&stock, &rules(1, 10));
    assert!(found.backups.is_empty(), "it is young enough");
    let keep = BTreeSet::from([old.name]);
    let found = removal(&stock, &Rules { keep, ..rules(1, 100) });
    assert_eq!((found.backups, found.pieces), (vec![], vec![replaced[1].clone()]));
}

#[test]
fn a_backup_that_lacks_a_piece_does_not_count_as_one_of_the_newest() {
    let whole = backup(5, 1, 10, &[segment(1, 5)]);
    let lacking = backup(9, 1, 20, &[segment(1, 5), tail(6, 9)]);
    let damaged = StoredBackup { pieces: None, ..backup(12, 1, 30, &[]) };
    let pieces = vec![stored(segment(1, 5), 5)];
    let stock = Stock { pieces, backups: vec![whole, lacking.clone(), damaged.clone()], ..Stock::default() };
    let found = removal(&stock, &rules(1, 100));
    assert_eq!((found.backups, found.pieces), (vec![lacking.name, damaged.name], vec![]));
}

#[test]
fn a_branch_that_the_log_has_left_stays_for_a_while() {
    let (common, old) = (segment(1, 10), piece(Extent::Tail, (11, 20), (1, 1)));
    let new = piece(Extent::Tail, (11, 12), (2, 2));
    let of_old = backup(20, 1, 10, &[common.clone(), old.clone()]);
    let of_new = backup(12, 2, 20, &[common.clone(), new.clone()]);
    let pieces = vec![stored(common, 5), stored(old.clone(), 50), stored(new, 60)];
    let backups = vec![of_old.clone(), of_new];
    let stock = Stock { pieces, backups, fences: vec![fence(10, 2)], ..Stock::default() };
    let found = removal(&stock, &rules(9, 40));
    assert_eq!((found.backups, found.pieces), (vec![of_old.name], vec![]), "its piece was stored later");
    assert_eq!(removal(&stock, &rules(9, 70)).pieces, [old]);
}

#[test]
fn what_nothing_leads_to_stays_because_a_piece_before_it_may_be_lost() {
    let stock =
        Stock { pieces: vec![stored(segment(1, 5), 1), stored(segment(8, 9), 1)], ..Stock::default() };
    assert_eq!(removal(&stock, &rules(1, 100)).pieces, []);
}

#[test]
fn what_was_announced_goes_unless_a_backup_that_stays_needs_it() {
    let of_both = [segment(1, 5), tail(6, 7)];
    let (first, second) = (backup(5, 1, 10, &of_both[..1]), backup(7, 1, 20, &of_both));
    let pieces = [&of_both[..], &[tail(1, 3)]].concat().into_iter().map(|name| stored(name, 99)).collect();
    let announced = [tail(1, 3).to_string(), tail(6, 7).to_string(), first.name.to_string()];
    let stock = Stock {
        pieces,
        backups: vec![first.clone(), second],
        announced: announced.into_iter().collect(),
        ..Stock::default()
    };
    let found = removal(&stock, &rules(5, 0));
    assert_eq!((found.backups, found.pieces), (vec![first.name.clone()], vec![tail(1, 3)]));
    let keep = BTreeSet::from([first.name]);
    assert!(removal(&stock, &Rules { keep, ..rules(5, 0) }).backups.is_empty());
}

/// Random pieces, backups of the way at some size, and fences.
fn stocks() -> impl Strategy<Value = Stock> {
    let cut = (1..40_u64, 1..15_u64, 1..4_u64, 0..3_u64, any::<bool>(), 0..100_i64);
    let pieces = proptest::collection::vec(cut, 0..40);
    (pieces, proptest::collection::vec((0..40_u64, 1..4_u64, 0..100_i64), 0..8), 0..50_u64, 1..5_u64)
        .prop_map(|(cuts, backups, seq, epoch)| {
            let of = |(first, length, epoch, branch, is_tail, stored_at): (u64, u64, u64, u64, bool, i64)| {
                let extent = if is_tail { Extent::Tail } else { Extent::Segment };
                stored(piece(extent, (first, first + length - 1), (epoch, branch)), stored_at)
            };
            let mut pieces: Vec<StoredPiece> = cuts.into_iter().map(of).collect();
            pieces.sort_by_key(|piece| piece.name.to_string());
            pieces.dedup_by_key(|piece| piece.name.to_string());
            let fences = vec![fence(seq, epoch)];
            let all: Vec<PieceName> = pieces.iter().map(|piece| piece.name.clone()).collect();
            let way = route(&all, &fences);
            let backups = backups.into_iter().map(|(size, epoch, created)| {
                let size = size.min(way.size());
                let own: Vec<PieceName> =
                    way.pieces.iter().filter(|piece| piece.first_seq <= size).cloned().collect();
                backup(size, epoch, created, &own)
            });
            let mut backups: Vec<StoredBackup> = backups.collect();
            backups.sort_by_key(|backup| backup.name.to_string());
            backups.dedup_by_key(|backup| backup.name.to_string());
            Stock { backups, pieces, fences, announced: BTreeSet::new() }
        })
}

fn after(stock: &Stock, removal: &Removal) -> Stock {
    let mut left = stock.clone();
    left.pieces.retain(|piece| !removal.pieces.contains(&piece.name));
    left.backups.retain(|backup| !removal.backups.contains(&backup.name));
    left
}

proptest! {
    /// Whatever is in an archive: what stays can be restored as before, and there is nothing more to remove.
    #[test]
    fn what_stays_is_complete_and_leads_as_far_as_before(
        stock in stocks(), keep_last in 0..4_usize, since in 0..110_i64, kept in 0..8_usize,
    ) {
        let keep = stock.backups.get(kept).map(|backup| backup.name.clone());
        let rules = Rules { keep: keep.clone().into_iter().collect(), ..rules(keep_last, since) };
        let found = removal(&stock, &rules);
        let left = after(&stock, &found);
        prop_assert_eq!(found.kept, left.backups.len());
        let all = |stock: &Stock| names(stock, |_| true);
        let (before, now) = (route(&all(&stock), &stock.fences), route(&all(&left), &left.fences));
        prop_assert_eq!(before.pieces, now.pieces);
        let there: BTreeSet<String> = left.pieces.iter().map(|piece| piece.name.to_string()).collect();
        for backup in &left.backups {
            for piece in backup.pieces.iter().flatten() {
                prop_assert!(there.contains(&piece.to_string()));
            }
        }
        let is_left = |backup: &&StoredBackup| {
            stock.fences.iter().any(|fence| backup.name.epoch < fence.epoch && backup.name.size > fence.seq)
        };
        let newest = stock.backups.iter().filter(|backup| !is_left(backup)).map(|backup| {
            (backup.name.epoch, backup.name.size, backup.created, backup.name.clone())
        });
        if let Some((.., newest)) = newest.max() {
            prop_assert!(left.backups.iter().any(|backup| backup.name == newest), "the newest backup stays");
        }
        if let Some(keep) = keep {
            prop_assert!(left.backups.iter().any(|backup| backup.name == keep));
        }
        let again = removal(&left, &rules);
        prop_assert!(again.backups.is_empty() && again.pieces.is_empty());
        // A removal that was interrupted anywhere is completed by the next one.
        let announced: BTreeSet<String> = found.backups.iter().map(ManifestName::to_string)
            .chain(found.pieces.iter().map(PieceName::to_string)).collect();
        let resumed = removal(&Stock { announced, ..stock.clone() }, &rules);
        prop_assert_eq!((resumed.backups, resumed.pieces), (found.backups, found.pieces));
    }
}
