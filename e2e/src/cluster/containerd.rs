//! Images in the containerd of the local cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::layout::Layout;
use crate::command;
use crate::tools;

pub(crate) async fn import(layout: &Layout, archive: &Path) -> Result<()> {
    let (socket, archive) = (layout.containerd_socket(), archive.display().to_string());
    let ctr = tools::program("ctr")?.display().to_string();
    let socket = socket.display().to_string();
    let arguments = ["-a", &socket, "-n", "k8s.io", "images", "import", &archive];
    command::run(&ctr, &arguments, Duration::from_secs(60)).await.map(drop)
}
