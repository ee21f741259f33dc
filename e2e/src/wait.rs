//! Waiting for a condition, always within a limit.

use std::time::Duration;

use anyhow::{Result, bail};
use crds::MemoryEngine;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

const POLL: Duration = Duration::from_millis(100);

/// Calls `ask` repeatedly until it returns a value.
///
/// # Errors
/// There was no value within `limit`; the message contains `what` and the last failure.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut last = String::from("not yet the case");
    loop {
        let asked = tokio::time::timeout_at(deadline, ask()).await;
        match asked {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => bail!("timed out after {limit:?} waiting for: {what} ({last})"),
        }
        if tokio::time::Instant::now() + POLL > deadline {
            bail!("timed out after {limit:?} waiting for: {what} ({last})");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Returns the status condition of type `kind`.
#[must_use]
pub fn condition<'a>(engine: &'a MemoryEngine, kind: &str) -> Option<&'a Condition> {
    engine.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}
