//! Two writers that have archived different events with the same numbers.

use std::sync::Arc;

use engine_core::archive::name::Extent;
use engine_core::archive::route::route;
use jiff::Timestamp;

use super::live_log::LiveLog;
use super::{Silent, metrics, repository, stopped};
use crate::retention::{Retention, prune};
use crate::{Archive, Until, Wanted, restore};

#[tokio::test]
async fn of_two_tails_with_the_same_first_event_the_chain_decides_and_the_other_one_is_kept_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    log.save("both have it").await;
    let mut old = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    old.backup(&stopped(), Timestamp::now()).await.unwrap();
    let wanted = Wanted { until: Some(Until::Event(1)), ..Wanted::default() };
    restore(&store, &at("copy"), &wanted, true, &Silent).await.unwrap();
    // The first writer goes on, and reaches further than the second one ever does.
    for number in 0..9 {
        log.save(&format!("of the first writer {number}")).await;
    }
    while old.ship_piece().await.unwrap() {}
    let copy = LiveLog::open(&at("copy"));
    copy.save("of the second writer").await;
    let mut new = Archive::open(&store, &copy.handles, metrics()).await.unwrap();
    assert_eq!(new.takeover.left_pieces, 1, "what nobody restores any more is reported");
    while new.ship_piece().await.unwrap() {}

    let part = store.of_log(&new.log_id).unwrap();
    let names = part.all_names().await.unwrap();
    let tails =
        names.piece_names().into_iter().filter(|name| name.extent == Extent::Tail && name.first_seq == 2);
    let (mut tails, found) = (tails.collect::<Vec<_>>(), route(&names.piece_names(), &names.fences));
    tails.sort_by_key(|tail| tail.epoch);
    let [loser, winner] = &tails[..] else { panic!("two tails begin at event 2: {tails:?}") };
    assert!(loser.epoch < winner.epoch && loser.last_seq > winner.last_seq, "{loser} {winner}");
    assert!(found.pieces.contains(winner) && found.unused.contains(loser), "{found:?}");
    // A writer that comes later reports it too, and a removal keeps it for as long as backups stay.
    let retention = Retention { keep_last: 1, keep_days: 30 };
    prune(&store, &new.log_id, (retention, &[]), Timestamp::now(), false).await.unwrap();
    let later = Archive::open(&store, &copy.handles, metrics()).await.unwrap();
    assert_eq!(later.takeover.left_pieces, 1);
    restore(&store, &at("restored"), &Wanted::default(), false, &Silent).await.unwrap();
    let segments = std::fs::read_dir(at("restored/log")).unwrap();
    // Beside the segments there is the tree, which is no text.
    let read = |path: std::path::PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let text: String = segments.map(|entry| read(entry.unwrap().path())).collect();
    assert!(text.contains("of the second writer") && !text.contains("of the first writer"), "{text}");
}
