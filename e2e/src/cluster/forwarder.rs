//! The one door into the node: a listener that was opened on the machine's 127.0.0.1 before its process
//! entered the node's network, from which it connects to the API server.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::layout::Layout;

/// The API server may be starting; a client then gets its connection closed and tries again.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The listener that `up` passed as standard input.
///
/// # Errors
/// Standard input is no listening socket.
pub(super) fn inherited_listener() -> Result<TcpListener> {
    let descriptor: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).context("standard input is not the listener that `cluster up` passes")
}

/// Carries connections for as long as the process lives.
pub(super) async fn forward(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(carry(stream))),
            // Out of descriptors: wait for some to be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn carry(mut outside: TcpStream) {
    let connected = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(Layout::api_address())).await;
    let Ok(Ok(mut inside)) = connected else { return };
    // Many small frames (watches, exec): do not hold them back.
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    // An error here is one side going away, which the other side sees as well.
    let _ = copy_bidirectional(&mut outside, &mut inside).await;
}
