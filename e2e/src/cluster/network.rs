//! The node's network namespace: a bridge that carries the node's address, and no route to the outside.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};

use super::layout::{Layout, NODE_IP, SERVICE_CIDR};
use crate::command;

const LIMIT: Duration = Duration::from_secs(10);

/// Creates the namespace.
///
/// # Errors
/// It exists already, or this process lacks the permission.
pub(super) async fn create(layout: &Layout) -> Result<()> {
    let name = layout.name.as_str();
    command::run("ip", &["netns", "add", name], LIMIT).await.context("creating the network namespace")?;
    let address = format!("{NODE_IP}/24");
    for words in [
        "link set lo up".to_owned(),
        "link add node type bridge".to_owned(),
        format!("addr add {address} dev node"),
        "link set node up".to_owned(),
        // The kernel routes a packet before it translates the service address, so a route must exist.
        format!("route add {SERVICE_CIDR} dev node"),
        "route add unreachable default".to_owned(),
    ] {
        let mut arguments = vec!["-n", name];
        arguments.extend(words.split(' '));
        command::run("ip", &arguments, LIMIT).await.context("setting up the node's network")?;
    }
    Ok(())
}

/// Removes the namespace if it exists. With the last namespace on the machine, also removes the mount that `ip netns`
/// created to hold namespaces.
///
/// # Errors
/// The namespace cannot be removed.
pub(super) async fn remove(layout: &Layout) -> Result<()> {
    if !Path::new(&layout.network_namespace()).exists() {
        return Ok(());
    }
    command::run("ip", &["netns", "del", &layout.name], LIMIT).await?;
    let names = layout.network_namespace().with_file_name("");
    if fs::read_dir(&names)?.next().is_none() {
        // A missing mount is fine; `ip netns add` creates it again.
        let _ = unmount(&names, UnmountFlags::empty());
    }
    Ok(())
}
