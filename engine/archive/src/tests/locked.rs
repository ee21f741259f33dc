//! Stores that refuse to remove objects.

use std::sync::Arc;

use jiff::Timestamp;

use super::prune::{Archived, failing};
use crate::faults::Faults;
use crate::retention::{Retention, prune};

/// Archives that are made, each with its own history.
const SEEDS: u64 = 12;

#[tokio::test]
async fn a_removal_that_a_lock_refuses_is_reported_and_stops_nothing_else() {
    let (mut refused, mut beside) = (0, 0);
    for (seed, locked) in
        (0..SEEDS).flat_map(|seed| [(seed, "manifests/"), (seed, "tails/"), (seed, "boundary/")])
    {
        let archived = Archived::with_seed(seed).await;
        let head = archived.log.head();
        let (store, faults) = (archived.copy(), Arc::new(Faults::default()));
        faults.lock(Some(locked));
        let pruned = archived.prune(&failing(&store, &faults)).await.unwrap();
        if let Some(why) = &pruned.skipped {
            assert!(why.contains("locked") && why.contains(locked), "{why}");
            refused += 1;
            beside += pruned.pieces + pruned.backups.len();
        }
        // What was announced counts for nobody, and what is needed is there.
        let restored = archived.restore(&store, None).await;
        assert_eq!(restored.events, head, "seed {seed}, {locked}");
        faults.lock(None);
        let completed = archived.prune(&failing(&store, &faults)).await.unwrap();
        assert_eq!(completed.skipped, None, "seed {seed}, {locked}");
        let retention = Retention { keep_last: 1, keep_days: 0 };
        let rest = prune(&store, &archived.log_id, (retention, &[]), Timestamp::now(), true).await.unwrap();
        assert_eq!((rest.pieces, rest.backups.len(), rest.kept), (0, 0, 1), "seed {seed}, {locked}");
        assert_eq!(archived.restore(&store, Some(&restored.backup)).await.damaged, []);
    }
    assert!(refused > 5 && beside > 5, "{refused} refused, {beside} removed beside them");
}
