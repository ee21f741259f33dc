//! Services outside of the engine: their keys reach the pod as files, and the NetworkPolicy opens their ports.

use crds::{
    Embedding, EmbeddingProvider, EmbeddingService, KeyReference, MemoryEngineSpec, Monitoring, Rerank,
    Tracing,
};
use operator_core::names::ChildKind;
use serde_json::{Value, json};

use crate::configurations::{check, faults, full};
use crate::pods::child;

fn key(name: &str) -> Option<KeyReference> {
    Some(KeyReference { name: name.into(), key: "api-key".into() })
}

pub(crate) fn embedding_service() -> EmbeddingService {
    EmbeddingService {
        url: "https://models.example.org/v1/embeddings".into(),
        model: "small".into(),
        dimension: Some(512),
        key_secret_ref: key("models"),
        timeout_seconds: Some(20),
        query_timeout_millis: Some(400),
        batch: Some(32),
        max_requests_per_minute: Some(1200),
        max_tokens_per_minute: Some(i64::from(u32::MAX)),
        cost_per_million_tokens: Some(0.02),
    }
}

pub(crate) fn rerank() -> Rerank {
    Rerank {
        url: "https://models.example.org:8443/v1/rerank".into(),
        model: "cross".into(),
        top: Some(20),
        key_secret_ref: key("reranker"),
        timeout_seconds: Some(3),
        max_requests_per_minute: Some(60),
        max_tokens_per_minute: Some(100_000),
        cost_per_million_tokens: Some(2.0),
    }
}

fn set(spec: MemoryEngineSpec) -> Value {
    child(spec, ChildKind::StatefulSet, "notes")["spec"]["template"]["spec"].take()
}

fn egress(spec: MemoryEngineSpec) -> Value {
    child(spec, ChildKind::NetworkPolicy, "notes")["spec"]["egress"].take()
}

fn with_embedding(http: EmbeddingService) -> MemoryEngineSpec {
    let embedding = Some(Embedding { provider: EmbeddingProvider::Http, http: Some(http) });
    MemoryEngineSpec { embedding, ..MemoryEngineSpec::default() }
}

/// A whole directory is mounted, so that the kubelet can replace a rotated key. No key is a variable or an argument.
#[test]
fn the_key_of_a_service_is_a_file_that_only_the_engine_reads() {
    let pod = set(full());
    let volume = |name: &str, secret: &str| {
        json!({"name": name, "secret": {
            "secretName": secret, "defaultMode": 0o440, "items": [{"key": "api-key", "path": "key"}],
        }})
    };
    let volumes = pod["volumes"].as_array().expect("volumes");
    assert_eq!(volumes[3..], [volume("embedding-key", "models"), volume("rerank-key", "reranker")]);
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/run/memory-engine/{name}"), "readOnly": true});
    let container = &pod["containers"][0];
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    assert_eq!(mounts[3..], [mount("embedding-key"), mount("rerank-key")]);
    let before = set(MemoryEngineSpec::default());
    assert_eq!(container["env"], before["containers"][0]["env"]);
    assert_eq!(container["args"], before["containers"][0]["args"]);
}

#[test]
fn a_service_without_a_key_changes_nothing_in_the_pod() {
    let open = EmbeddingService { key_secret_ref: None, ..embedding_service() };
    assert_eq!(set(with_embedding(open)), set(MemoryEngineSpec::default()));
}

#[test]
fn the_network_policy_opens_dns_and_the_ports_of_services_and_no_others() {
    let port = |number: u16, protocol: &str| json!({"port": number, "protocol": protocol});
    let dns = json!({"ports": [port(53, "UDP"), port(5353, "UDP"), port(53, "TCP"), port(5353, "TCP")]});
    assert_eq!(egress(MemoryEngineSpec::default()), json!([]));
    let in_process = Some(Embedding { provider: EmbeddingProvider::Hashing, http: None });
    assert_eq!(egress(MemoryEngineSpec { embedding: in_process, ..MemoryEngineSpec::default() }), json!([]));
    let untraced = MemoryEngineSpec { monitoring: None, ..full() };
    assert_eq!(egress(untraced), json!([dns, {"ports": [port(443, "TCP"), port(8443, "TCP")]}]));
    let traced = MemoryEngineSpec { monitoring: full().monitoring, ..MemoryEngineSpec::default() };
    assert_eq!(egress(traced), json!([dns, {"ports": [port(4318, "TCP")]}]), "the collector of traces");
    let all = [443, 4318, 8443].map(|number| port(number, "TCP"));
    assert_eq!(egress(full()), json!([dns, {"ports": all}]));
    for (url, number) in [("http://a/", 80), ("https://a", 443), ("http://[fd00::1]:9000/x", 9000)] {
        let http = EmbeddingService { url: url.into(), key_secret_ref: None, ..embedding_service() };
        assert_eq!(egress(with_embedding(http)), json!([dns, {"ports": [port(number, "TCP")]}]), "{url}");
    }
}

#[test]
fn a_collector_that_spans_cannot_be_sent_to_is_refused() {
    let change = |spec: &mut MemoryEngineSpec| {
        let endpoint = "http://user:password@collector/".to_owned();
        let tracing = Tracing { endpoint, sampling_rate_per_million: Some(1_000_001) };
        spec.monitoring = Some(Monitoring { tracing: Some(tracing) });
    };
    check(change, &["samplingRatePerMillion", "tracing.endpoint"]);
    let mut spec = full();
    change(&mut spec);
    let found = faults(spec).join("\n");
    assert!(!found.contains("password@"), "{found}");
}

#[test]
fn services_that_the_engine_would_refuse_are_refused() {
    check(
        |spec| {
            let http =
                spec.embedding.as_mut().and_then(|embedding| embedding.http.as_mut()).expect("a service");
            http.url = "https://user:password@models.example.org/".into();
            (http.model, http.dimension) = (String::new(), Some(4097));
            let rerank = spec.rerank.as_mut().expect("a service");
            rerank.url = "http://models.example.org/".into();
            (rerank.cost_per_million_tokens, rerank.max_tokens_per_minute) = (Some(-1.0), Some(3));
            rerank.key_secret_ref = Some(KeyReference { name: "a".into(), key: "../b".into() });
        },
        &[
            "spec.embedding.http.dimension",
            "spec.rerank.maxTokensPerMinute",
            "spec.embedding.http.url must be",
            "spec.embedding.http.model must be",
            "spec.rerank.url must be https",
            "spec.rerank.costPerMillionTokens",
            "spec.rerank.keySecretRef",
        ],
    );
    let provider = |spec: &mut MemoryEngineSpec| {
        spec.embedding.as_mut().expect("a section").provider = EmbeddingProvider::Off;
    };
    check(provider, &["spec.embedding.http has no effect without spec.embedding.provider: http"]);
    let service = |spec: &mut MemoryEngineSpec| spec.embedding.as_mut().expect("a section").http = None;
    check(service, &["spec.embedding.provider: http has no effect without spec.embedding.http"]);
}
