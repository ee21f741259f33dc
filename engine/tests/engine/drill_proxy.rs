//! A proxy before a port of an engine, which changes its answers: an engine with a defect, as a client sees it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Changes an answer: gets the request's method and target, its body and the answer's body.
type Change = dyn Fn(&str, &str, String) -> String + Send + Sync;

/// The proxy. It speaks plain HTTP, one request for each connection.
pub(crate) struct DefectProxy {
    pub(crate) address: SocketAddr,
}

impl DefectProxy {
    pub(crate) fn before(
        target: SocketAddr,
        change: impl Fn(&str, &str, String) -> String + Send + Sync + 'static,
    ) -> DefectProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = DefectProxy { address: listener.local_addr().unwrap() };
        let change: Arc<Change> = Arc::new(change);
        // The thread ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let change = Arc::clone(&change);
                // A client that has gone away is no failure of the proxy.
                thread::spawn(move || pass(&stream, target, &*change).unwrap_or_default());
            }
        });
        proxy
    }
}

fn pass(mut stream: &TcpStream, target: SocketAddr, change: &Change) -> io::Result<()> {
    let (head, body) = message(&mut BufReader::new(stream))?;
    let mut engine = TcpStream::connect(target)?;
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: String = kept.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    engine.write_all(format!("{kept}connection: close\r\n\r\n{body}").as_bytes())?;
    let (answer, content) = message(&mut BufReader::new(&engine))?;
    let request = head.lines().next().unwrap_or_default();
    let changed = change(request, &body, content);
    let status = answer.lines().next().unwrap_or_default();
    let length = changed.len();
    let head = format!(
        "{status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n"
    );
    stream.write_all(format!("{head}\r\n{changed}").as_bytes())
}

/// The head and the body of a request or an answer.
fn message(reader: &mut impl BufRead) -> io::Result<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length:").and_then(|length| length.trim().parse().ok())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    String::from_utf8(body).map(|body| (head, body)).map_err(io::Error::other)
}
