//! A client of the admin port of a running engine, for commands.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Timeout of a request. The slowest one, a rotation, takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum size of a response, bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// Sends a request and returns the JSON of the response.
///
/// # Errors
/// The engine does not answer, or refuses.
pub(crate) fn ask(address: &str, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).context("the engine did not answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the engine's answer is not HTTP")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("the engine refused: {body}");
    }
    serde_json::from_str(body).context("the engine's answer is not JSON")
}
