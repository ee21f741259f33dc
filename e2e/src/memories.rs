//! Client for an engine's memory API, reached through the API server's service proxy: it works on any cluster and needs
//! no port forwarding.

use anyhow::{Context as _, Result, bail};
use engine_core::wire::{LogHead, MemoryView, SaveMemory, Saved, SearchAnswer};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest wait for one response.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The API of one engine.
#[derive(Clone)]
pub struct Memories {
    client: Client,
    base: String,
}

impl std::fmt::Debug for Memories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memories").field("base", &self.base).finish_non_exhaustive()
    }
}

/// An HTTP response with any status.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, as text.
    pub body: String,
}

impl Answer {
    /// Parses the body if the status is a success.
    ///
    /// # Errors
    /// The status is another, or the body has another form; the message carries the body.
    pub fn success<T: DeserializeOwned>(&self) -> Result<T> {
        if !(200..300).contains(&self.status) {
            bail!("status {}: {}", self.status, self.body);
        }
        serde_json::from_str(&self.body)
            .with_context(|| format!("unexpected form of the answer: {}", self.body))
    }
}

impl Memories {
    /// Returns the API of the engine named `engine`, reached through its Service. `client` must not retry.
    #[must_use]
    pub fn of(client: &Client, namespace: &str, engine: &str) -> Self {
        let base = format!("/api/v1/namespaces/{namespace}/services/{engine}:8080/proxy");
        Self { client: client.clone(), base }
    }

    /// Sends a request and returns the response.
    ///
    /// # Errors
    /// There was no response within 10 seconds.
    pub async fn send(&self, method: &str, path: &str, key: Option<&str>, body: Vec<u8>) -> Result<Answer> {
        let mut request = http_request(method, &format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(Body::from(body))?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await?.to_bytes();
            anyhow::Ok(Answer { status, body: String::from_utf8_lossy(&bytes).into_owned() })
        };
        tokio::time::timeout(ANSWER_LIMIT, exchange).await.context("no answer within 10 s")?
    }

    /// Reads the JSON document at `path`.
    ///
    /// # Errors
    /// There was no response, or a status other than success.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send("GET", path, None, Vec::new()).await?.success()
    }

    /// Sends one document.
    ///
    /// # Errors
    /// There was no response, or a status other than success.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T> {
        self.send("POST", path, key, serde_json::to_vec(body)?).await?.success()
    }

    /// Saves a memory; success means that it is durable.
    ///
    /// # Errors
    /// The engine did not acknowledge the memory.
    pub async fn save(&self, content: &str, key: Option<&str>) -> Result<Saved> {
        self.post("/v1/memories", key, &memory(content)).await
    }

    /// Reads a memory.
    ///
    /// # Errors
    /// The memory does not exist.
    pub async fn read(&self, id: &str) -> Result<MemoryView> {
        self.get(&format!("/v1/memories/{id}")).await
    }

    /// Searches for `words`, which must not need URL encoding.
    ///
    /// # Errors
    /// There was no response, or a status other than success.
    pub async fn search(&self, words: &str) -> Result<SearchAnswer> {
        self.get(&format!("/v1/search?mode=lexical&q={}&limit=100", words.replace(' ', "+"))).await
    }

    /// Returns the head of the log.
    ///
    /// # Errors
    /// The engine did not answer.
    pub async fn head(&self) -> Result<LogHead> {
        self.get("/v1/log/head").await
    }
}

/// Returns a save request with only a content.
#[must_use]
pub fn memory(content: &str) -> SaveMemory {
    SaveMemory {
        content: content.to_owned(),
        title: None,
        project: None,
        kind: None,
        tags: Vec::new(),
        session: None,
        actor: None,
        occurred_at: None,
        same_text: None,
        valid_from: None,
        entities: Vec::new(),
    }
}

fn http_request(method: &str, path: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(path)
}
