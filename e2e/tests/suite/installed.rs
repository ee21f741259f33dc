//! The operator, installed once for all tests: each test is a separate process, and the first one installs.

use anyhow::Result;
use e2e::cluster::{self, Cluster};
use e2e::deploy;

/// The cluster with the operator installed.
pub(crate) async fn cluster() -> Result<Cluster> {
    let cluster = cluster::ensure_up().await?;
    deploy::ensure_installed(&cluster).await?;
    Ok(cluster)
}
