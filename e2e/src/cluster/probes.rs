//! Readiness probes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::api::{GetParams, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::components::Probe;

/// Longest wait for a response. All probed addresses are on this machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_millis(50);

/// Waits until `probe` succeeds, without a limit; the caller sets one.
pub(super) async fn wait(probe: &Probe, api: &kube::Client) {
    loop {
        if tokio::time::timeout(ANSWER_LIMIT, succeeds(probe, api)).await == Ok(true) {
            return;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn succeeds(probe: &Probe, api: &kube::Client) -> bool {
    match probe {
        Probe::Tcp(address) => TcpStream::connect(address).await.is_ok(),
        Probe::Unix(path) => listens(path).await,
        Probe::Http(address, path) => answers_ok(*address, path).await,
        Probe::ApiServer => api_ready(api).await,
    }
}

async fn listens(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Returns whether the API server reports that it is ready.
pub(super) async fn api_ready(api: &kube::Client) -> bool {
    // This makes the path `/readyz`: an object named readyz at the root.
    let request = Request::new("").get("readyz", &GetParams::default());
    let Ok(request) = request else { return false };
    api.request_text(request).await.is_ok()
}

/// Sends one HTTP/1.0 request. Only the status line of the response decides the result.
async fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await?;
        std::io::Result::Ok(first.ends_with(b" 200"))
    };
    asked.await.unwrap_or(false)
}
