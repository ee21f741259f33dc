//! The operator, installed once for all tests. Each test is a separate process; the first one installs the operator.

use anyhow::Result;
use e2e::cluster::{self, Cluster};
use e2e::deploy;

/// Returns the cluster with the operator installed.
pub(crate) async fn cluster() -> Result<Cluster> {
    let cluster = cluster::ensure_up().await?;
    deploy::ensure_installed(&cluster).await?;
    Ok(cluster)
}
