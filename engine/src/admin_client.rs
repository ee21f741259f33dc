//! A client of the admin port of a running engine, for commands.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;
use service::tls::client_config;

/// Timeout of a request. The slowest one, a rotation, takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum size of a response, bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
const NO_HTTP: &str =
    "the answer is not HTTP: is this the admin port? If it has TLS, --tls-directory is needed";

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// The admin port of a running engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin<'a> {
    /// `HOST:PORT`.
    pub(crate) address: &'a str,
    /// Directory with a certificate that the engine accepts and the authorities that it is verified with, if the port
    /// has TLS.
    pub(crate) tls_directory: Option<&'a Path>,
    /// The token that the port demands, if it demands one.
    pub(crate) token: Option<&'a str>,
}

/// Sends a request and returns the JSON of the response.
///
/// # Errors
/// The engine does not answer, or refuses.
pub(crate) fn ask(
    admin: Admin<'_>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let Admin { address, tls_directory, token } = admin;
    let address = address.strip_prefix("http://").or(address.strip_prefix("https://")).unwrap_or(address);
    let address = address.trim_end_matches('/');
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(directory) = tls_directory else {
        return exchange(&mut stream, (address, token), method, path, body);
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let host = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is not a host"))?;
    let client = ClientConnection::new(client_config(directory)?, host)?;
    exchange(&mut StreamOwned::new(client, stream), (address, token), method, path, body)
}

fn exchange(
    stream: &mut (impl Read + Write),
    (address, token): (&str, Option<&str>),
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let body = body.map(Value::to_string).unwrap_or_default();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         {token}connection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = answer(stream, &request).map_err(|fault| match fault.kind() {
        // A port with TLS closes the connection; its reason may be lost with it.
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            anyhow::Error::new(fault).context(NO_HTTP)
        }
        _ => anyhow::Error::new(fault).context("the engine did not answer"),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").context(NO_HTTP)?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("the engine refused: {body}");
    }
    serde_json::from_str(body).context("the engine's answer is not JSON")
}

fn answer(stream: &mut (impl Read + Write), request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = String::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer) {
        // An engine closes the connection behind a complete answer, with TLS also without a word.
        Err(fault) if fault.kind() != ErrorKind::UnexpectedEof || answer.is_empty() => Err(fault),
        _ => Ok(answer),
    }
}
