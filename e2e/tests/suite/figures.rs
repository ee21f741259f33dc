//! Measurements with a limit, compared with a bare StatefulSet in the same run. For more rounds: `cargo run -p e2e --
//! bench deploy`.

use anyhow::ensure;
use e2e::figures::measure;
use e2e::steps::Steps;

use crate::world::in_namespace;

const ROUNDS: usize = 3;
/// Permitted ratio of the engine's time to the time of a bare StatefulSet.
const RATIO_MAX: f64 = 2.0;

/// An engine is Ready in at most twice the time of a bare StatefulSet with the same image, probes and volume. The same
/// limit holds for the time from the deletion of its pod until it acknowledges writes again.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_ready_in_at_most_twice_the_time_of_a_bare_stateful_set() {
    in_namespace("figures", async |world| {
        let figures = measure(&world.cluster, &world.namespace, ROUNDS, &Steps::start()).await?;
        println!("{}{}", figures.table(), figures.json());
        ensure!(figures.start.ratio() <= RATIO_MAX, "apply to Ready: {:.2}", figures.start.ratio());
        ensure!(figures.back.ratio() <= RATIO_MAX, "deleted to write: {:.2}", figures.back.ratio());
        Ok(())
    })
    .await;
}
