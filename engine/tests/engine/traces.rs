//! Traces: what they contain, how they are connected, and that a collector in any state costs an engine nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::collector::{Collector, Manner, attribute};
use crate::process::{Client, Running, eventually};
use crate::services::Service;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn headers(sampled: bool) -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-0{}\r\nx-request-id: t-1\r\n", u8::from(sampled))
}

fn start(data: &Path, config: &str) -> Running {
    let file = data.join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), file.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first span with this name in the trace of the tests.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name && hex(&span.trace_id) == TRACE);
    found.unwrap_or_else(|| {
        panic!("no span {name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())
    })
}

#[track_caller]
fn check_parent(spans: &[Span], child: &str, parent: &str) {
    assert_eq!(
        named(spans, child).parent_span_id,
        named(spans, parent).span_id,
        "{child} is not below {parent}"
    );
}

#[test]
fn the_spans_of_a_request_are_one_trace() {
    let (data, collector, service) =
        (tempfile::tempdir().unwrap(), Collector::start(Manner::Takes), Service::start());
    let url = format!("http://{}/v1/rerank", service.address);
    let engine =
        start(data.path(), &format!("{}rerank: {{url: '{url}', model: m}}\n", collector.configuration()));
    let post = |path: &str, body: &serde_json::Value| engine.post(path, &headers(true), &body.to_string());
    let saved = post("/v1/memories", &json!({"content": "a private blue kettle", "project": "house"}));
    let id = saved.json()["id"].as_str().unwrap().to_owned();
    post("/v1/memories", &json!({"content": "a private kettle of iron", "project": "house"}));
    eventually("the catalog is loaded", || {
        engine.get("/v1/search?q=private&project=house").json()["degraded"]
            .as_array()
            .is_none_or(Vec::is_empty)
    });
    let search = "/v1/search?q=private+kettle&project=house";
    assert_eq!(engine.connect().request("GET", search, &headers(true), "").unwrap().status, 200);
    post(&format!("/v1/memories/{id}/invalidate"), &json!({"reason": "a private reason"}));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "memory_get", "arguments": {"id": id}}});
    let accept = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
    engine.post("/mcp", &format!("{accept}{}", headers(true)), &call.to_string());
    engine.send_terminate();
    eventually("stopped", || collector.spans().iter().any(|span| span.name == "tools/call memory_get"));

    let spans = collector.spans();
    let server = named(&spans, "GET /v1/search");
    assert_eq!((hex(&server.parent_span_id).as_str(), server.kind), (CALLER, SpanKind::Server as i32));
    let of = |name: &str, key: &str| attribute(&named(&spans, name).attributes, key).unwrap_or_default();
    assert_eq!(of("GET /v1/search", "http.route"), "/v1/search");
    assert_eq!(of("GET /v1/search", "http.response.status_code"), "200");
    assert_eq!(of("GET /v1/search", "request_id"), "t-1");
    check_parent(&spans, "query search", "GET /v1/search");
    for stage in ["embed", "retrieve", "features", "rank", "fusion"] {
        let below = ["query search", "query rerank"].map(|query| &named(&spans, query).span_id);
        assert!(below.contains(&&named(&spans, stage).parent_span_id), "{stage}");
    }
    assert_eq!(of("query search", "db.operation.name"), "search");
    check_parent(&spans, "rerank m", "GET /v1/search");
    assert_eq!(named(&spans, "rerank m").kind, SpanKind::Client as i32);
    assert_eq!(of("rerank m", "gen_ai.request.model"), "m");
    let asked = format!("00-{TRACE}-{}-01", hex(&named(&spans, "rerank m").span_id));
    assert!(service.parents().contains(&asked), "{:?}, not {asked}", service.parents());
    check_parent(&spans, "append", "POST /v1/memories");
    check_parent(&spans, "invalidate", "POST /v1/memories/{id}/invalidate");
    check_parent(&spans, "tools/call memory_get", "POST /mcp");
    assert_eq!(of("tools/call memory_get", "mcp.method.name"), "tools/call");
    let replay = spans.iter().find(|span| span.name == "replay").expect("the projection was built");
    assert!(replay.parent_span_id.is_empty() && attribute(&replay.attributes, "memory.events").is_some());
    assert!(!collector.text().contains("private"), "{}", collector.text());
}

#[test]
fn a_caller_decides_what_is_recorded_and_the_log_has_the_id_of_the_trace() {
    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start(Manner::Takes));
    let config =
        collector.configuration().replace("timeoutSeconds", "samplingRatePerMillion: 0, timeoutSeconds");
    let engine = start(data.path(), &format!("{config}log: {{level: debug}}\n"));
    engine.get("/v1/log/head");
    let head = |sampled| engine.connect().request("GET", "/v1/log/head", &headers(sampled), "").unwrap();
    head(false);
    head(true);
    eventually("a span", || !collector.spans().is_empty());
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "only what the caller records: {spans:?}");
    assert_eq!(hex(&spans[0].trace_id), TRACE);
    drop(engine);

    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start(Manner::Takes));
    let engine = start(data.path(), &format!("{}log: {{level: debug}}\n", collector.configuration()));
    let answer = engine.connect().request("GET", "/v1/log/head", "x-request-id: own-1\r\n", "").unwrap();
    assert_eq!(answer.status, 200);
    let mut own = None;
    eventually("the span", || {
        let is_own = |span: &Span| attribute(&span.attributes, "request_id").as_deref() == Some("own-1");
        own = collector.spans().into_iter().find(is_own);
        own.is_some()
    });
    let trace = hex(&own.unwrap().trace_id);
    let said = engine.said();
    let line = said.lines().find(|line| line.contains("\"own-1\"")).unwrap_or_default();
    assert!(line.contains(&trace), "{line} is not of trace {trace}");
}

/// Resident memory of a process, KiB.
fn resident(engine: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Requests until the engine has finished this many more spans.
fn make_spans(engine: &Running, spans: usize) {
    let mut client = Client::connect(engine.api).unwrap();
    for _ in 0..spans {
        client.request("GET", "/v1/log/head", "", "").unwrap();
    }
}

fn dropped(engine: &Running, outcome: &str) -> u64 {
    let metrics = engine.admin("/metrics").body;
    let line = metrics.lines().find(|line| {
        line.starts_with("memory_trace_spans_total") && line.contains(&format!("outcome=\"{outcome}\""))
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Memory that a collector in a bad state may cost.
const GROWTH_KIB_MAX: u64 = 16 << 10;
/// Spans that are made: at a thousand a second, those of ten seconds.
const SPANS: usize = 10_000;
/// Longest end of a process with such a collector.
const EXIT_MAX: Duration = Duration::from_secs(5);

#[track_caller]
fn check_collector(endpoint: &str) {
    let data = tempfile::tempdir().unwrap();
    let mut engine = start(data.path(), &format!("tracing: {{endpoint: '{endpoint}', timeoutSeconds: 1}}\n"));
    // What an engine needs for requests, whatever happens to their spans.
    make_spans(&engine, 500);
    let before = resident(&engine);
    let begun = Instant::now();
    make_spans(&engine, SPANS);
    let rate = SPANS as f64 / begun.elapsed().as_secs_f64();
    let growth = resident(&engine).saturating_sub(before);
    eventually("lost spans are counted", || {
        dropped(&engine, "queue_full") + dropped(&engine, "export_failed") > 0
    });
    assert_eq!(engine.save("a memory").status, 201, "memories do not depend on traces");
    let told = Instant::now();
    engine.send_terminate();
    engine.wait();
    let exit = told.elapsed();
    println!("{endpoint}: {rate:.0} spans/s, memory grew by {growth} KiB, exit after {exit:?}");
    assert!(growth <= GROWTH_KIB_MAX, "{endpoint}: memory grew by {growth} KiB at {rate:.0} spans/s");
    assert!(exit <= EXIT_MAX, "{endpoint}: the exit took {exit:?}");
}

#[test]
fn a_collector_that_never_answers_costs_little() {
    check_collector(&format!("http://{}/v1/traces", Collector::start(Manner::Hangs).address));
}

#[test]
fn a_collector_that_refuses_costs_little() {
    check_collector(&format!("http://{}/v1/traces", Collector::start(Manner::Refuses).address));
}

#[test]
fn a_collector_that_is_gone_costs_little() {
    // Nothing listens on this port.
    check_collector("http://127.0.0.1:9/v1/traces");
}

#[test]
fn the_last_spans_are_sent_before_the_process_ends() {
    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start(Manner::Takes));
    let mut engine = start(data.path(), &collector.configuration());
    make_spans(&engine, 2_000);
    engine.send_terminate();
    assert_eq!(engine.wait().code(), Some(0));
    let heads = collector.spans().iter().filter(|span| span.name == "GET /v1/log/head").count();
    assert_eq!(heads, 2_000);
}

/// A certificate for 127.0.0.1, and the authority that signed it, in PEM.
fn certificate() -> (rustls::ServerConfig, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .unwrap();
    (config, pem)
}

#[test]
fn traces_are_sent_over_tls_to_a_collector_that_the_engine_can_verify() {
    let (tls, pem) = certificate();
    let collector = Collector::start_with_tls(tls);
    let start = |data: &Path, variables: &[(&str, &str)]| {
        let file = data.join("config.yaml");
        let config = collector.configuration().replace("http://", "https://");
        std::fs::write(&file, config).unwrap();
        let arguments = ["--config".as_ref(), file.as_os_str()];
        let engine = Running::spawn_in(data, "127.0.0.1:0", &arguments, variables);
        eventually("ready", || engine.admin("/readyz").status == 200);
        engine
    };
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path(), &[]);
    make_spans(&engine, 10);
    eventually("the certificate is refused", || dropped(&engine, "export_failed") >= 10);
    assert_eq!(engine.save("a memory").status, 201, "memories do not depend on traces");
    drop(engine);
    assert!(collector.spans().is_empty(), "nothing is sent to a server that cannot be verified");

    let data = tempfile::tempdir().unwrap();
    let bundle = data.path().join("ca.pem");
    std::fs::write(&bundle, pem).unwrap();
    let variables = [
        ("SSL_CERT_FILE", bundle.to_str().unwrap()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer hidden"),
    ];
    let engine = start(data.path(), &variables);
    make_spans(&engine, 10);
    eventually("the spans arrive", || {
        collector.spans().iter().filter(|span| span.name == "GET /v1/log/head").count() == 10
    });
    assert!(collector.heads().iter().all(|head| head.contains("authorization: Bearer hidden")));
    assert!(!engine.said().contains("hidden"), "{}", engine.said());
}

#[test]
fn a_call_of_a_tool_is_a_child_of_the_caller_in_its_message() {
    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start(Manner::Takes));
    let engine = start(data.path(), &format!("{}log: {{level: debug}}\n", collector.configuration()));
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let call = |id: u32, traceparent: &str| {
        let arguments = json!({"content": "a private blue kettle"});
        let params =
            json!({"name": "memory_save", "arguments": arguments, "_meta": {"traceparent": traceparent}});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let accept = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
        assert_eq!(engine.post("/mcp", &format!("{accept}{}", headers(true)), &body.to_string()).status, 200);
    };
    call(1, &format!("00-{trace}-{caller}-01"));
    call(2, "not a trace context");
    let calls = || {
        let spans = collector.spans();
        spans.into_iter().filter(|span| span.name == "tools/call memory_save").collect::<Vec<_>>()
    };
    eventually("both calls", || calls().len() == 2);
    let (of_message, of_header): (Vec<Span>, Vec<Span>) =
        calls().into_iter().partition(|span| hex(&span.trace_id) == trace);
    assert_eq!(hex(&of_message[0].parent_span_id), caller);
    assert_eq!(hex(&of_header[0].trace_id), TRACE, "a context that is not valid is ignored");
    let spans = collector.spans();
    let below = spans.iter().find(|span| span.name == "append" && hex(&span.trace_id) == trace);
    assert_eq!(below.expect("what the call does is below it").parent_span_id, of_message[0].span_id);
    let http = named(&spans, "POST /mcp");
    assert_eq!(hex(&http.parent_span_id), CALLER, "the HTTP request has the caller of its header");
}
