//! What TLS costs a search on a connection that stays open, in turns with an engine without TLS, and how many
//! handshakes an engine completes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use engine_core::certificate::Certificate;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;
use service::secret_file::Exposed;
use service::tls::{Identity, client_config};

use super::context::Bench;
use super::process::Serving;
use super::row::{Row, Sample, median};

/// Most that TLS may multiply the median of a search on an open connection by.
const TIMES_MAX: f64 = 1.5;
/// Fewest handshakes in a second that an engine has to complete for one client.
const HANDSHAKES_MIN: f64 = 100.0;
/// Time to wait for bytes of the engine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Memories that are searched.
const MEMORIES: usize = 200;
const SEARCH: &str = "/v1/search?q=kettle&mode=lexical&limit=5";

/// A stream with TLS or without.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A way to reach an engine.
struct Peer {
    serving: Serving,
    /// Settings and name of an engine with TLS.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// Measures with the certificate, the key and the authorities of a directory.
pub(super) fn measure(bench: &Bench, directory: &Path) -> anyhow::Result<Vec<Row>> {
    let peers = [start(bench, "plain", None)?, start(bench, "tls", Some(directory))?];
    for peer in &peers {
        fill(peer)?;
    }
    let mut searches: [Vec<Sample>; 2] = Default::default();
    let mut handshakes = Vec::new();
    for _ in 0..bench.rounds {
        for (peer, samples) in peers.iter().zip(&mut searches) {
            bench.step("tls: searches");
            samples.push(search(bench, peer)?);
        }
        bench.step("tls: handshakes");
        handshakes.push(connect_again(bench, &peers[1])?);
    }
    for Peer { serving, .. } in peers {
        serving.stop()?;
    }
    let [plain, tls] = searches.map(median);
    let without = plain.percentile_us(0.5).context("no search")?;
    Ok(vec![
        Row::time("search on an open connection", &plain, 0.5),
        Row::time("search on an open connection with TLS", &tls, 0.5)
            .beside("the same without TLS", without)
            .at_most_of_limit(TIMES_MAX),
        Row::rate("connections with a full handshake", &median(handshakes), "per second")
            .at_least(HANDSHAKES_MIN),
    ])
}

fn start(bench: &Bench, name: &str, directory: Option<&Path>) -> anyhow::Result<Peer> {
    let data = bench.directory(&format!("tls-{name}"))?;
    let mut section = json!({});
    let mut tls = None;
    if let Some(directory) = directory {
        let directory = directory.canonicalize().context("the directory of --tls")?;
        section = json!({"apiDirectory": directory});
        let identity = Identity::read(&directory, Exposed::Reported)?;
        ensure!(!identity.authorities.is_empty(), "the directory of --tls has no ca.crt");
        let first = identity.chain.first().context("the directory of --tls has no certificate")?;
        let name = Certificate::of_der(first)?.dns_names.into_iter().next();
        let name = name.context("the certificate of --tls names no host")?.try_into()?;
        tls = Some((client_config(&directory)?, name));
    }
    let config = data.join("config.yaml");
    std::fs::write(&config, json!({ "tls": section }).to_string())?;
    let serving = Serving::start_with(&data, Some(&config))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serving.ready())?;
    Ok(Peer { serving, tls })
}

impl Peer {
    fn connect(&self) -> anyhow::Result<BufReader<Box<dyn Stream>>> {
        let address: SocketAddr = self.serving.api;
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some((config, name)) = &self.tls else { return Ok(BufReader::new(Box::new(stream))) };
        let connection = ClientConnection::new(Arc::clone(config), name.clone())?;
        Ok(BufReader::new(Box::new(StreamOwned::new(connection, stream))))
    }
}

/// Sends a request and reads the whole answer.
fn ask(stream: &mut BufReader<Box<dyn Stream>>, head: &str, body: &str) -> anyhow::Result<()> {
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.get_mut().write_all(request.as_bytes())?;
    stream.get_mut().flush()?;
    let (mut line, mut length) = (String::new(), 0_usize);
    stream.read_line(&mut line)?;
    let is_done = line.starts_with("HTTP/1.1 2");
    let status = line.trim_end().to_owned();
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the engine closed the connection");
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if !is_done {
        bail!("{head} answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

fn fill(peer: &Peer) -> anyhow::Result<()> {
    let mut stream = peer.connect()?;
    for number in 0..MEMORIES {
        let body = json!({"content": format!("the kettle number {number} is blue")}).to_string();
        ask(&mut stream, "POST /v1/memories", &body)?;
    }
    Ok(())
}

fn search(bench: &Bench, peer: &Peer) -> anyhow::Result<Sample> {
    let mut stream = peer.connect()?;
    let head = format!("GET {SEARCH}");
    ask(&mut stream, &head, "")?;
    let (mut latencies, started) = (Vec::new(), Instant::now());
    while started.elapsed() < bench.duration {
        let before = Instant::now();
        ask(&mut stream, &head, "")?;
        latencies.push(before.elapsed());
    }
    Ok(Sample::new(latencies, 1, started.elapsed()))
}

fn connect_again(bench: &Bench, peer: &Peer) -> anyhow::Result<Sample> {
    let (mut latencies, started) = (Vec::new(), Instant::now());
    while started.elapsed() < bench.duration {
        let before = Instant::now();
        // The first request completes the handshake.
        ask(&mut peer.connect()?, "GET /v1/log/head", "")?;
        latencies.push(before.elapsed());
    }
    Ok(Sample::new(latencies, 1, started.elapsed()))
}
