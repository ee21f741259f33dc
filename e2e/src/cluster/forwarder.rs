//! The only connection from the machine into the node. The listener was opened on the machine's 127.0.0.1 before this
//! process entered the node's network namespace; from there, connections are forwarded to the API server.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::layout::Layout;

/// Longest wait for a connection to the API server, which may still be starting. After it, the client's connection is
/// closed, and the client retries.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Returns the listener that `up` passed as standard input.
///
/// # Errors
/// Standard input is not a listening socket.
pub(super) fn inherited_listener() -> Result<TcpListener> {
    let descriptor: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).context("standard input is not the listener that `cluster up` passes")
}

/// Forwards connections until the process ends.
pub(super) async fn forward(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(carry(stream))),
            // Out of file descriptors: wait until some are closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn carry(mut outside: TcpStream) {
    let connected = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(Layout::api_address())).await;
    let Ok(Ok(mut inside)) = connected else { return };
    // Traffic is many small frames (watches, exec): send them without delay.
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    // An error means that one side closed the connection. The other side notices that as well.
    let _ = copy_bidirectional(&mut outside, &mut inside).await;
}
