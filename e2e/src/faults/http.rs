//! A minimal HTTP/1.1 client on one keep-alive connection, for campaigns that cut off their clients.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Longest wait for a response. Longer than the engine's own limit for a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(35);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection(BufReader<TcpStream>);

/// An HTTP response of the engine.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Parses the body of a successful response.
    pub(super) fn json(&self) -> Result<Value> {
        if !matches!(self.status, 200 | 201) {
            bail!("answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).context("an answer that is not JSON")
    }
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    pub(super) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), b"")
    }

    /// Posts JSON; `key` is the `Idempotency-Key`.
    pub(super) fn post(&mut self, path: &str, key: Option<&str>, body: &[u8]) -> io::Result<Answer> {
        let key = key.map_or_else(String::new, |key| format!("idempotency-key: {key}\r\n"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{key}\r\n",
            body.len()
        );
        self.send(&head, body)
    }

    fn send(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (status, length) = parsed(&head).ok_or(io::ErrorKind::InvalidData)?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }
}

/// Returns the status and the length of the body.
fn parsed(head: &str) -> Option<(u16, usize)> {
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let lines = head.lines().map(str::to_ascii_lowercase);
    let length = lines.filter_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).next();
    Some((status, length.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        assert_eq!(parsed("HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n"), Some((201, 12)));
        assert_eq!(parsed("HTTP/1.1 503 Busy\r\n\r\n"), Some((503, 0)));
        assert_eq!(parsed("nonsense\r\n\r\n"), None);
    }
}
