//! A proxy between a reader and its writer, which changes or withholds the answers with lines.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the proxy does with an answer that has lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection closes in the middle of a line.
    Cut,
    /// The answer is complete and ends in the middle of its last line.
    Short,
    /// The answer comes late.
    Delay(Duration),
    /// Two lines change places.
    Swap,
    /// A line comes twice.
    Repeat,
    /// One bit of a line in the middle is another.
    Flip,
    /// A line is missing.
    Omit,
}

struct State {
    target: SocketAddr,
    fault: Fault,
    /// Answers that were changed.
    changed: usize,
}

/// The proxy. It speaks plain HTTP, one request for each connection.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(crate) fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(Mutex::new(State { target, fault: Fault::None, changed: 0 }));
        let proxy = Proxy { address: listener.local_addr().unwrap(), state };
        let accepting = proxy.clone();
        // The thread ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let proxy = accepting.clone();
                // An answer that cannot be passed on closes the connection, as a network does.
                thread::spawn(move || proxy.pass(stream.unwrap()).unwrap_or_default());
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = target;
    }

    /// Number of answers that were changed.
    pub(crate) fn changed(&self) -> usize {
        self.state.lock().unwrap().changed
    }

    fn pass(&self, stream: TcpStream) -> io::Result<()> {
        let mut received = BufReader::new(stream.try_clone()?);
        let request = head(&mut received)?;
        let lower = request.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut sent = vec![0; length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)];
        received.read_exact(&mut sent)?;
        let (target, fault) = {
            let state = self.state.lock().unwrap();
            (state.target, state.fault)
        };
        let mut writer = TcpStream::connect(target)?;
        let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        writer.write_all(&[request.as_bytes(), &sent].concat())?;
        let mut answer = BufReader::new(writer);
        let head = head(&mut answer)?;
        let mut body = Vec::new();
        answer.read_to_end(&mut body)?;
        let has_lines =
            request.contains("/log/lines") && body.iter().filter(|byte| **byte == b'\n').count() > 3;
        let changed = if has_lines { self.changed_body(fault, &body) } else { body.clone() };
        let announced = if fault == Fault::Cut && has_lines { body.len() } else { changed.len() };
        let fields = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
        let mut answer: String =
            fields.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        answer += &format!("content-length: {announced}\r\nconnection: close\r\n\r\n");
        let mut stream = stream;
        stream.write_all(&[answer.as_bytes(), &changed].concat())
    }

    fn changed_body(&self, fault: Fault, body: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> =
            body.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let middle = lines.len() / 2;
        match fault {
            Fault::None => return body.to_vec(),
            Fault::Delay(time) => thread::sleep(time),
            Fault::Cut | Fault::Short => {
                let kept = body.len() - lines.last().map_or(0, Vec::len) / 2;
                lines = vec![body[..kept].to_vec()];
            }
            Fault::Swap => lines.swap(middle, middle - 1),
            Fault::Repeat => lines.insert(middle, lines[middle].clone()),
            Fault::Flip => {
                let place = lines[middle].len() / 2;
                lines[middle][place] ^= 1;
            }
            Fault::Omit => drop(lines.remove(middle)),
        }
        self.state.lock().unwrap().changed += 1;
        lines.concat()
    }
}

fn head(stream: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}
