//! Tests leader election against a mock API server. Tokio's time is paused, so that the tests do not really wait.

use hyper::Method;
use serde_json::{Value, json};

use super::*;
use crate::mock_api::{Fault, MockApi};

const LEASE: &str = "leases/memory-operator";
/// Longer than any wait in a test.
const LONG: Duration = Duration::from_secs(60);

/// An operator that requests the Lease.
fn candidate(client: Client) -> Leader {
    let candidate = Candidate {
        client,
        namespace: "memory-system".into(),
        identity: "operator-0".into(),
        metrics: Arc::new(Metrics::new()),
    };
    let (sender, state) = watch::channel(Leadership::Standby);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(candidate.run(sender, stopped));
    Leader { state, stop, task }
}

async fn becomes(leader: &mut Leader, wanted: Leadership) {
    let reached = tokio::time::timeout(LONG, leader.state.wait_for(|state| *state == wanted)).await;
    let reached = reached.map(|state| *state.expect("the task runs, or has ended with this state"));
    assert_eq!(reached.ok(), Some(wanted), "it stays {:?}", *leader.state.borrow());
}

/// An operator that leads.
async fn leading() -> (MockApi, Leader) {
    let (client, server) = MockApi::start();
    let mut leader = candidate(client);
    becomes(&mut leader, Leadership::Leading).await;
    assert_eq!(holder(&server), "operator-0");
    (server, leader)
}

fn holder(server: &MockApi) -> Value {
    server.object(LEASE).expect("the Lease").pointer("/spec/holderIdentity").cloned().unwrap_or_default()
}

/// Another operator takes the Lease.
fn take(server: &MockApi) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    server.edit(LEASE, |lease| {
        lease["spec"] = json!({"holderIdentity": "operator-1", "leaseDurationSeconds": 15, "acquireTime": now,
            "renewTime": now, "leaseTransitions": 2});
    });
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_and_given_back() {
    let (server, leader) = leading().await;
    let state = leader.state();
    leader.stop(LONG).await;
    assert_eq!(*state.borrow(), Leadership::Standby);
    assert_eq!(holder(&server), Value::Null);
}

/// From the first failed renewal on, the operator may not write. It may write again as soon as it has renewed the
/// Lease.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_stops_the_writing_until_one_works() {
    for fault in [
        Fault::Unsent,
        Fault::NoAnswer,
        Fault::Refused(500, ""),
        Fault::Refused(403, ""),
        Fault::Refused(422, ""),
    ] {
        let (server, mut leader) = leading().await;
        server.fail_next(Method::PATCH, LEASE, fault);
        becomes(&mut leader, Leadership::Uncertain).await;
        assert!(server.has_failed(), "{fault:?}");
        becomes(&mut leader, Leadership::Leading).await;
        assert_eq!(holder(&server), "operator-0", "{fault:?}");
    }
}

/// Someone else changed the Lease at the same moment: the operator retries the renewal before the Lease expires.
#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again() {
    let (client, server) = MockApi::start();
    server.fail_next(Method::PATCH, LEASE, Fault::Refused(409, ""));
    let mut leader = candidate(client);
    becomes(&mut leader, Leadership::Leading).await;
    assert!(server.has_failed(), "the conflict was while it took the Lease");

    server.fail_next(Method::PATCH, LEASE, Fault::Refused(409, ""));
    leader.state.mark_unchanged();
    tokio::time::sleep(LONG).await;
    assert!(server.has_failed());
    assert!(!leader.state.has_changed().expect("the task runs"), "it leads without interruption");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_went_to_another_is_lost_for_good() {
    let (server, mut leader) = leading().await;
    take(&server);
    becomes(&mut leader, Leadership::Lost).await;
    leader.task.await.expect("the task has ended");
    assert_eq!(holder(&server), "operator-1");
}

/// The renewal fails, and another operator takes over before this one can retry.
#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_meanwhile_is_lost_for_good() {
    let (server, mut leader) = leading().await;
    server.fail_next(Method::PATCH, LEASE, Fault::Unsent);
    becomes(&mut leader, Leadership::Uncertain).await;
    take(&server);
    becomes(&mut leader, Leadership::Lost).await;
    leader.task.await.expect("the task has ended");
    assert_eq!(holder(&server), "operator-1");
}

/// Someone deletes the Lease: no operator leads until an operator has created the Lease again.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_is_made_anew() {
    let (server, mut leader) = leading().await;
    server.remove(LEASE);
    becomes(&mut leader, Leadership::Uncertain).await;
    becomes(&mut leader, Leadership::Leading).await;
    assert_eq!(holder(&server), "operator-0");
}

/// A standby may not write. When the leader releases the Lease, the standby takes over within a second, not only when
/// the Lease would have expired.
#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_lease_is_given_back() {
    let (server, leader) = leading().await;
    let client = server.client();
    leader.stop(LONG).await;
    take(&server);
    server.take_writes();
    let mut standby = candidate(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*standby.state.borrow(), Leadership::Standby);
    assert_eq!(server.take_writes(), [""; 0]);
    server.edit(LEASE, |lease| lease["spec"] = json!({}));
    let given_back = tokio::time::Instant::now();
    becomes(&mut standby, Leadership::Leading).await;
    assert!(given_back.elapsed() <= Duration::from_secs(3), "{:?}", given_back.elapsed());
}

/// While the API server does not respond, the operator stays a standby and does not exit.
#[tokio::test(start_paused = true)]
async fn without_an_answer_it_stays_a_standby() {
    let (client, server) = MockApi::start();
    for _ in 0..3 {
        server.fail_next(Method::GET, LEASE, Fault::Unsent);
    }
    let mut leader = candidate(client);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(*leader.state.borrow(), Leadership::Standby);
    becomes(&mut leader, Leadership::Leading).await;
    assert!(server.has_failed());
}
