//! An embedding service and reranker for tests: a real HTTP server on the node's address, which can be made to fail in
//! every way.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::cluster::NodeNetwork;

/// How often the server looks for connections and for another behaviour.
const POLL: Duration = Duration::from_millis(2);
/// How long it waits for a request on an open connection.
const IDLE: Duration = Duration::from_millis(50);

/// What the service does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers.
    Answers,
    /// Refuses connections.
    Refuses,
    /// Answers with this status, and with `Retry-After: 1`.
    Status(u16),
    /// Accepts requests and never answers.
    Hangs,
    /// Answers after this time.
    Slow(Duration),
    /// Answers, and puts the worst document first.
    WorstFirst,
}

/// A running service. It ends when it is dropped.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    stop: AtomicBool,
}

impl Shared {
    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

impl ModelServer {
    /// Starts a service that pods can reach.
    ///
    /// # Errors
    /// The node's network cannot be entered, or no port is free.
    pub fn start(network: &NodeNetwork) -> Result<Self> {
        let behaviour = Mutex::new(Behaviour::Answers);
        let shared = Arc::new(Shared { behaviour, stop: AtomicBool::new(false) });
        let (sender, receiver) = mpsc::channel();
        let (network, serving) = (network.clone(), Arc::clone(&shared));
        thread::spawn(move || match bound(&network) {
            Ok((listener, address)) => {
                let _ = sender.send(Ok(address));
                serve(listener, address, &serving);
            }
            Err(error) => drop(sender.send(Err(error))),
        });
        let address = receiver.recv().context("the server's thread ended")??;
        Ok(Self { address, shared })
    }

    /// The URL of requests for vectors.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1/embeddings", self.address)
    }

    /// Changes what the service does from now on.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour() = behaviour;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// Moves this thread into the node's network and listens there. Sockets stay in the network in which they were made.
fn bound(network: &NodeNetwork) -> Result<(TcpListener, SocketAddr)> {
    let namespace = File::open(&network.namespace).context("there is no local cluster")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("entering the node's network")?;
    let listener = listen((network.address, 0).into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    while !shared.is_stopped() {
        let refuses = *shared.behaviour() == Behaviour::Refuses;
        match &listener {
            // Without a socket that listens, the kernel refuses connections.
            Some(_) if refuses => listener = None,
            None if !refuses => listener = listen(address).ok(),
            _ => {}
        }
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((stream, _))) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || while answer(&stream, &shared).is_some() {});
            }
            _ => thread::sleep(POLL),
        }
    }
}

/// Answers one request; `None` when the connection has to be closed.
fn answer(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let body = request(stream, shared)?;
    let behaviour = *shared.behaviour();
    match behaviour {
        Behaviour::Answers | Behaviour::WorstFirst => {}
        Behaviour::Refuses => return None,
        Behaviour::Hangs => {
            while *shared.behaviour() == behaviour && !shared.is_stopped() {
                thread::sleep(POLL);
            }
            return None;
        }
        Behaviour::Slow(time) => thread::sleep(time),
        Behaviour::Status(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
            return write(stream, head.as_bytes());
        }
    }
    let answer = match body["documents"].as_array() {
        Some(documents) => ranked(documents.len(), behaviour == Behaviour::WorstFirst),
        None => embedded(body["input"].as_array()?)?,
    };
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    write(stream, head.as_bytes())
}

fn write(mut stream: &TcpStream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).ok()
}

/// Vectors of texts.
fn embedded(texts: &[Value]) -> Option<Value> {
    let item =
        |(index, text): (usize, &Value)| Some(json!({"index": index, "embedding": vector(text.as_str()?)}));
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect::<Option<_>>()?;
    Some(json!({"data": data, "usage": {"total_tokens": texts.len()}}))
}

/// Scores of so many documents, which keep their order, or are in the opposite one.
fn ranked(documents: usize, is_reversed: bool) -> Value {
    let place = |index| if is_reversed { documents - index } else { index };
    let score = |index| 1.0 / (1 + place(index)) as f64;
    let mut results: Vec<usize> = (0..documents).collect();
    results.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let results: Vec<_> =
        results.into_iter().map(|index| json!({"index": index, "relevance_score": score(index)})).collect();
    json!({"results": results, "usage": {"total_tokens": documents}})
}

/// The vector of a text: how often each of eight letters occurs in it, and a constant.
fn vector(text: &str) -> Vec<f32> {
    let count = |letter: char| u8::try_from(text.matches(letter).count()).unwrap_or(u8::MAX);
    "aeinorst".chars().map(|letter| f32::from(count(letter)) + 0.01).collect()
}

/// The body of the next request. A connection without one is closed when the behaviour changes to a refusal.
fn request(stream: &TcpStream, shared: &Shared) -> Option<Value> {
    stream.set_read_timeout(Some(IDLE)).ok()?;
    let mut first = [0];
    loop {
        match stream.peek(&mut first) {
            Ok(0) => return None,
            Ok(_) => break,
            Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.is_stopped() || *shared.behaviour() == Behaviour::Refuses {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
