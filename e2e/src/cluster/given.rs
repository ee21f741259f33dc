//! Which cluster is in use: the local one, or the one that `KUBECONFIG` names.

use std::path::PathBuf;

use anyhow::Result;

use super::layout::Layout;

/// Returns the file that `KUBECONFIG` names; `None` if it is the local cluster's own file or nothing is named.
///
/// # Errors
/// The cluster's name is not valid.
pub(super) fn kubeconfig() -> Result<Option<PathBuf>> {
    let given = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = Layout::from_env()?.kubeconfig();
    Ok(given.filter(|path| *path != own))
}

/// The kubeconfig of the cluster in use. The local one exists while the cluster is up.
///
/// # Errors
/// The cluster's name is not valid.
pub fn kubeconfig_path() -> Result<PathBuf> {
    Ok(match kubeconfig()? {
        Some(given) => given,
        None => Layout::from_env()?.kubeconfig(),
    })
}

/// False when `KUBECONFIG` names a cluster other than the local one.
#[must_use]
pub fn is_local() -> bool {
    matches!(kubeconfig(), Ok(None))
}
