use std::num::NonZeroU32;

use serde_json::json;

use super::*;
use crate::providers::fake::{Does, Fake, vector};
use crate::providers::rerank::rerank;
use crate::providers::{Batch, Unobserved, embed};
use engine_core::guard::{Fault, Outcome};

const PATIENCE: Duration = Duration::from_secs(5);

fn service(url: &str) -> Service {
    Service {
        url: url.parse().unwrap(),
        model: "letters".into(),
        key_file: None,
        exposed_key: service::secret_file::Exposed::Reported,
        timeout: PATIENCE,
        requests_per_minute: NonZeroU32::new(1_000).unwrap(),
        tokens_per_minute: None,
        price_per_million: 2_000_000,
    }
}

struct Interactive {
    fake: Fake,
    client: Client,
    metrics: Arc<ProviderMetrics>,
}

async fn asking(script: impl IntoIterator<Item = Does>) -> Interactive {
    let fake = Fake::start(script).await;
    let metrics = Arc::new(ProviderMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
    let service = service(&format!("http://{}/v1/embeddings", fake.address));
    let provider =
        Provider::new(Dependency::Embedding, service, true, Arc::clone(&metrics), Arc::new(Unobserved))
            .unwrap();
    Interactive { fake, client: Client::new(provider).unwrap(), metrics }
}

impl Interactive {
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        self.embed_within(texts, PATIENCE).await
    }

    async fn embed_within(&self, texts: &[&str], patience: Duration) -> Result<Vec<Vec<f32>>, Failure> {
        let batch = Batch { model: "letters", dimensions: None, stored: None, texts };
        embed(&self.client, batch, Purpose::Interactive, patience).await
    }

    fn counted(&self, outcome: &str) -> u64 {
        self.metrics.requests.with_label_values(&["embedding", outcome]).get()
    }
}

#[tokio::test]
async fn vectors_tokens_and_cost_come_back() {
    let asking = asking([]).await;
    let vectors = asking.embed(&["tea", "a stone"]).await.unwrap();
    assert_eq!(vectors, [vector("tea"), vector("a stone")]);
    let (_, body) = asking.fake.heard.lock().unwrap()[0].clone();
    assert_eq!(body, json!({"model": "letters", "input": ["tea", "a stone"]}));
    let metrics = &asking.metrics;
    assert_eq!((asking.counted("ok"), metrics.tokens.with_label_values(&["embedding"]).get()), (1, 14));
    let cost = metrics.cost.with_label_values(&["embedding"]).get();
    assert!((cost - 14.0 * 2.0 / 1e6).abs() < 1e-12, "{cost}");
}

#[tokio::test]
async fn every_way_to_fail_has_its_name_and_tells_no_text() {
    let two = json!({"data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [1.0]}]});
    for (does, label) in [
        (Does::Status(500, None), "server_error"),
        (Does::Status(302, Some(("location", "http://192.0.2.1/"))), "refused"),
        (Does::Status(401, None), "refused"),
        (Does::Status(429, Some(("retry-after", "7"))), "rate_limited"),
        (Does::Status(503, Some(("retry-after", "7"))), "rate_limited"),
        (Does::Status(503, None), "server_error"),
        (Does::Hang, "timeout"),
        (Does::Bytes("<html>", 1), "malformed"),
        (Does::Answer(two), "malformed"),
        (Does::Bytes("                ", 1 << 20), "too_large"),
    ] {
        let asking = asking([does.clone()]).await;
        let failure =
            asking.embed_within(&["my secret", "b"], Duration::from_millis(1_500)).await.unwrap_err();
        assert_eq!(failure.label(), label, "{does:?}: {failure}");
        assert!(!format!("{failure} {failure:?}").contains("secret"));
        assert_eq!(asking.counted(label), 1);
    }
}

#[tokio::test]
async fn a_service_that_says_later_is_not_asked_before() {
    let asking = asking([Does::Status(429, Some(("retry-after", "60")))]).await;
    assert_eq!(asking.embed(&["a"]).await, Err(Failure::RateLimited(Duration::from_secs(60))));
    let again = asking.embed(&["a"]).await.unwrap_err();
    assert!(again.wait().is_some_and(|wait| wait > Duration::from_secs(50)), "{again:?}");
    assert_eq!(asking.fake.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_service_that_does_not_work_is_left_alone() {
    let asking = asking((0..20).map(|_| Does::Status(500, None))).await;
    let mut open = 0;
    for _ in 0..10 {
        let failure = asking.embed(&["a"]).await.unwrap_err();
        open += usize::from(failure.label() == "breaker_open");
    }
    assert_eq!((asking.fake.heard.lock().unwrap().len(), open), (5, 5));
    let report = asking.client.provider().report();
    assert!(report.is_breaker_open && report.since_success.is_none(), "{report:?}");
    assert_eq!(
        report.since_failure.map(|(_, label)| label),
        Some("server_error"),
        "no request was sent after it"
    );
}

#[tokio::test]
async fn texts_that_are_refused_are_no_fault_of_the_service() {
    let asking = asking((0..8).map(|_| Does::Status(400, None))).await;
    for _ in 0..8 {
        assert!(asking.embed(&["a"]).await.unwrap_err().is_about_the_texts());
    }
    assert!(asking.embed(&["a"]).await.is_ok());
}

#[tokio::test]
async fn nobody_is_there() {
    let metrics = Arc::new(ProviderMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
    // No server listens on this port: the listener was closed at once.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let provider = Provider::new(
        Dependency::Embedding,
        service(&format!("http://{port}/")),
        false,
        metrics,
        Arc::new(Unobserved),
    )
    .unwrap();
    let client = Client::new(provider).unwrap();
    let batch = Batch { model: "letters", dimensions: None, stored: None, texts: &["a"] };
    assert_eq!(embed(&client, batch, Purpose::Interactive, PATIENCE).await, Err(Failure::ConnectionRefused));
}

#[tokio::test]
async fn the_key_is_sent_and_read_again_when_it_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let fake = Fake::start([Does::Status(401, None)]).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, "old-key").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let service = Service { key_file: Some(path.clone()), ..service(&format!("http://{}/", fake.address)) };
    let provider = Provider::new(
        Dependency::Embedding,
        service,
        false,
        Arc::new(ProviderMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap()),
        Arc::new(Unobserved),
    )
    .unwrap();
    assert!(!format!("{provider:?}").contains("old-key"));
    let client = Client::new(provider).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "new-key\n").unwrap();
    let batch = Batch { model: "letters", dimensions: None, stored: None, texts: &["a"] };
    assert!(
        embed(&client, batch, Purpose::Interactive, PATIENCE).await.is_ok(),
        "a rotated key costs nothing"
    );
    let keys: Vec<String> = fake.heard.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, ["Bearer old-key", "Bearer new-key"]);
}

/// Remembers how calls ended.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(u64, Outcome)>>);

impl CallObserver for Heard {
    fn started(&self, _: Dependency) -> u64 {
        7
    }

    fn ended(&self, _: Dependency, call: u64, outcome: Outcome) {
        self.0.lock().unwrap().push((call, outcome));
    }
}

async fn outcomes(does: Does, purpose: Purpose) -> Vec<(u64, Outcome)> {
    outcomes_with(does, purpose, None).await
}

async fn outcomes_with(does: Does, purpose: Purpose, stored: Option<usize>) -> Vec<(u64, Outcome)> {
    let fake = Fake::start([does]).await;
    let heard = Arc::new(Heard::default());
    let metrics = Arc::new(ProviderMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
    let service = service(&format!("http://{}/", fake.address));
    let observer = Arc::clone(&heard) as Arc<dyn CallObserver>;
    let provider = Provider::new(Dependency::Embedding, service, false, metrics, observer).unwrap();
    let batch = Batch { model: "letters", dimensions: None, stored, texts: &["a"] };
    let patience = Duration::from_millis(300);
    drop(embed(&Client::new(provider).unwrap(), batch, purpose, patience).await);
    heard.0.lock().unwrap().clone()
}

#[tokio::test]
async fn the_guard_hears_how_calls_end() {
    let failed = Outcome::Failed;
    for (does, outcome) in [
        (Does::Answer(json!({"data": [{"index": 0, "embedding": [1.0]}]})), Outcome::Answered),
        (Does::Status(401, None), Outcome::AuthenticationFailed),
        (Does::Status(403, None), Outcome::AuthenticationFailed),
        (Does::Status(404, None), failed(Fault::Rejected)),
        (Does::Status(400, None), Outcome::Refused),
        (Does::Status(502, None), failed(Fault::ServerError)),
        (Does::Status(429, Some(("retry-after", "7"))), failed(Fault::RateLimited(7_000))),
        (Does::Hang, failed(Fault::Timeout)),
        (Does::Reset, failed(Fault::Reset)),
        (Does::Bytes("<html>", 1), failed(Fault::Malformed)),
    ] {
        assert_eq!(outcomes(does.clone(), Purpose::Interactive).await, [(7, outcome)], "{does:?}");
    }
    let one = || Does::Answer(json!({"data": [{"index": 0, "embedding": [1.0]}]}));
    assert_eq!(outcomes_with(one(), Purpose::Interactive, Some(1)).await, [(7, Outcome::Answered)]);
    let other = outcomes_with(one(), Purpose::Interactive, Some(8)).await;
    assert_eq!(other, [(7, failed(Fault::Malformed))], "another dimension than the stored one");
    let background = outcomes(Does::Status(403, None), Purpose::Background).await;
    assert_eq!(background, [(0, Outcome::AuthenticationFailed)]);
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_failure() {
    let fake = Fake::start([]).await;
    let heard = Arc::new(Heard::default());
    let metrics = Arc::new(ProviderMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
    let service = service(&format!("https://{}/", fake.address));
    let observer = Arc::clone(&heard) as Arc<dyn CallObserver>;
    let provider = Provider::new(Dependency::Embedding, service, false, metrics, observer).unwrap();
    let batch = Batch { model: "letters", dimensions: None, stored: None, texts: &["a"] };
    let failure = embed(&Client::new(provider).unwrap(), batch, Purpose::Interactive, PATIENCE).await;
    assert_eq!(failure.unwrap_err(), Failure::Tls);
    assert_eq!(*heard.0.lock().unwrap(), [(7, Outcome::Failed(Fault::Tls))]);
}

#[tokio::test]
async fn a_service_that_hangs_holds_a_bounded_number_of_calls() {
    let asking = Arc::new(asking((0..40).map(|_| Does::Hang)).await);
    let calls: Vec<_> = (0..INTERACTIVE_MAX + 4)
        .map(|_| {
            let asking = Arc::clone(&asking);
            tokio::spawn(async move { asking.embed_within(&["a"], Duration::from_millis(400)).await })
        })
        .collect();
    let mut refused = 0;
    for call in calls {
        let failure = call.await.unwrap().unwrap_err();
        refused += usize::from(failure == Failure::Saturated(INTERACTIVE_MAX));
    }
    assert_eq!(refused, 4);
    assert!(asking.fake.heard.lock().unwrap().len() <= INTERACTIVE_MAX);
}

#[tokio::test]
async fn documents_are_ranked() {
    let results =
        json!({"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]});
    let asking = asking([Does::Answer(results)]).await;
    let ranked = rerank(&asking.client, "what is hot", &["ice", "tea"], PATIENCE).await.unwrap();
    assert_eq!(ranked, [(1, 0.9), (0, 0.2)]);
    let (_, body) = asking.fake.heard.lock().unwrap()[0].clone();
    assert_eq!((&body["query"], &body["documents"]), (&json!("what is hot"), &json!(["ice", "tea"])));
}
