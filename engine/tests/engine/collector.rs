//! A receiver of traces: OTLP over HTTP, as strict as the specification. A test can make it refuse, or never answer.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the receiver treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes every span.
    Takes,
    /// It answers 503.
    Refuses,
    /// It reads requests and does not answer.
    Hangs,
}

/// A running receiver.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    spans: Arc<Mutex<Vec<Span>>>,
    faults: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Collector {
        Collector::start_as(manner, None)
    }

    /// A receiver that speaks TLS.
    pub(crate) fn start_with_tls(tls: ServerConfig) -> Collector {
        Collector::start_as(Manner::Takes, Some(Arc::new(tls)))
    }

    fn start_as(manner: Manner, tls: Option<Arc<ServerConfig>>) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(Mutex::new(manner));
        let collector = Collector {
            address,
            manner,
            spans: Arc::default(),
            faults: Arc::default(),
            heads: Arc::default(),
        };
        let serving = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (collector, tls) = (serving.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => while collector.answer(&mut &stream).is_some() {},
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        while collector.answer(&mut stream).is_some() {}
                    }
                });
            }
        });
        collector
    }

    /// The configuration of an engine that sends its traces here.
    pub(crate) fn configuration(&self) -> String {
        format!("tracing: {{endpoint: 'http://{}/v1/traces', timeoutSeconds: 1}}\n", self.address)
    }

    /// All spans so far. Panics if a request was not as the specification says.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        self.spans.lock().unwrap().clone()
    }

    /// Request lines and headers so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// All names and attributes of the spans so far, as one text.
    pub(crate) fn text(&self) -> String {
        // Encoded, because texts stay as they are, and most of the attributes are the same in many spans.
        let mut encoded = BTreeSet::new();
        for mut span in self.spans() {
            encoded.extend(span.attributes.drain(..).map(|attribute| attribute.encode_to_vec()));
            (span.trace_id, span.span_id, span.parent_span_id) = Default::default();
            (span.start_time_unix_nano, span.end_time_unix_nano) = Default::default();
            encoded.insert(span.encode_to_vec());
        }
        encoded.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
    }

    fn answer(&self, stream: &mut (impl Read + Write)) -> Option<()> {
        let (head, body) = request(stream)?;
        self.heads.lock().unwrap().push(head.clone());
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Hangs => {
                thread::sleep(Duration::from_secs(600));
                None
            }
            Manner::Refuses => {
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").ok()
            }
            Manner::Takes => {
                match decode(&head, &body) {
                    Ok(spans) => self.spans.lock().unwrap().extend(spans),
                    Err(fault) => self.faults.lock().unwrap().push(fault),
                }
                let answer = ExportTraceServiceResponse::default().encode_to_vec();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n";
                let head = format!("{head}content-length: {}\r\n\r\n", answer.len());
                stream.write_all(&[head.as_bytes(), &answer].concat()).ok()
            }
        }
    }
}

/// Checks a request and returns its spans.
fn decode(head: &str, body: &[u8]) -> Result<Vec<Span>, String> {
    if !head.starts_with("POST /v1/traces HTTP/1.1\r\n") {
        return Err(format!("another request: {head}"));
    }
    if !head.to_ascii_lowercase().contains("content-type: application/x-protobuf\r\n") {
        return Err(format!("another content type: {head}"));
    }
    let request = ExportTraceServiceRequest::decode(body).map_err(|fault| fault.to_string())?;
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let of = resource.resource.unwrap_or_default().attributes;
        if attribute(&of, "service.name").is_none() {
            return Err("a resource without service.name".to_owned());
        }
        spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    for span in &spans {
        let ids = span.trace_id.len() == 16
            && span.span_id.len() == 8
            && matches!(span.parent_span_id.len(), 0 | 8);
        if !ids || span.name.is_empty() || span.start_time_unix_nano > span.end_time_unix_nano {
            return Err(format!("not a span: {span:?}"));
        }
    }
    Ok(spans)
}

fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The value of an attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()? {
        AnyValue { value: Some(Value::StringValue(text)) } => Some(text.clone()),
        AnyValue { value: Some(Value::IntValue(number)) } => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}
