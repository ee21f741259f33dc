//! The supervisor process.

use std::sync::Arc;

use anyhow::Result;

use super::layout::Layout;
use super::report::Phase;
use super::supervisor::Supervisor;
use super::{control, forwarder};

/// Runs until it is killed.
///
/// # Errors
/// The set-up is incomplete: no listener, no configuration, or a missing program.
pub(super) async fn supervise(layout: Layout) -> Result<()> {
    let listener = forwarder::inherited_listener()?;
    let supervisor = Arc::new(Supervisor::new(layout).await?);
    tokio::spawn(forwarder::forward(listener));
    let control = tokio::spawn(control::serve(Arc::clone(&supervisor)));
    let started = Arc::clone(&supervisor).start_all().await;
    let phase = match started {
        Ok(()) => Phase::Ready,
        Err(error) => Phase::Failed(format!("{error:#}")),
    };
    supervisor.change(|report| report.phase = phase);
    control.await?
}
