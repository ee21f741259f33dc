//! Control socket of the supervisor: one line per request, one line per response.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::supervisor::Supervisor;

/// Maximum size of a request, and maximum time to receive one.
const REQUEST_BYTES_MAX: u64 = 200;
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for a response. Longer than the limits for stopping, starting and becoming ready together.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// Answers requests one at a time: two restarts of one component must not overlap.
pub(super) async fn serve(supervisor: Arc<Supervisor>) -> Result<()> {
    let listener = UnixListener::bind(supervisor.layout().control_socket()).context("control socket")?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let answer = match answer(&supervisor, &mut stream).await {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        // The client may have disconnected.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn answer(supervisor: &Arc<Supervisor>, stream: &mut UnixStream) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(REQUEST_LIMIT, reader.read_line(&mut line))
        .await
        .context("no request was received")??;
    match line.trim().split_once(' ') {
        Some(("restart", name)) => supervisor.restart(name).await,
        _ => bail!("not a request: {line:?}"),
    }
}

/// Requests a restart of a component; returns when the component is ready.
///
/// # Errors
/// The supervisor does not answer, there is no such component, or it did not become ready.
pub(super) async fn restart(socket: &Path, component: &str) -> Result<()> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await.context("the supervisor does not answer")?;
        stream.write_all(format!("restart {component}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer != "ok" {
            bail!("{answer}");
        }
        Ok(())
    };
    tokio::time::timeout(ANSWER_LIMIT, asked).await.context("the supervisor did not answer in time")?
}
