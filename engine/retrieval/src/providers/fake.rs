//! A provider for tests: it listens on the loopback interface and follows a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the provider does with a request.
#[derive(Debug, Clone)]
pub enum Does {
    /// Answers with this body.
    Answer(Value),
    /// Answers with this status, and optionally a header.
    Status(u16, Option<(&'static str, &'static str)>),
    /// Never answers.
    Hang,
    /// Closes the connection instead of answering.
    Reset,
    /// Answers with these bytes, repeated this many times.
    Bytes(&'static str, usize),
}

/// A running fake provider.
#[derive(Debug, Clone)]
pub struct Fake {
    pub address: SocketAddr,
    script: Arc<Mutex<VecDeque<Does>>>,
    /// Authorization header and body of every request received.
    pub heard: Arc<Mutex<Vec<(String, Value)>>>,
}

/// The vector of a text: the counts of eight letters, plus a constant so that it is never zero.
pub fn vector(text: &str) -> Vec<f32> {
    let count = |letter: char| text.chars().filter(|found| *found == letter).count();
    "aeinorst".chars().map(|letter| f32::from(u8::try_from(count(letter)).unwrap_or(255)) + 0.01).collect()
}

fn usual(body: &Value) -> Value {
    let texts = body["input"].as_array().cloned().unwrap_or_default();
    let item = |(index, text): (usize, &Value)| json!({"index": index, "embedding": vector(text.as_str().unwrap_or_default())});
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect();
    json!({"data": data, "usage": {"total_tokens": 7 * texts.len()}})
}

impl Fake {
    /// Starts a provider that follows the script, and afterwards answers as an embedding model would.
    pub async fn start(script: impl IntoIterator<Item = Does>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            heard: Arc::default(),
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| fake.clone().answer(request));
                    let _gone = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        fake
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let key = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        self.heard.lock().unwrap().push((key.unwrap_or_default(), body.clone()));
        let does = self.script.lock().unwrap().pop_front().unwrap_or_else(|| Does::Answer(usual(&body)));
        let mut response = Response::new(Full::default());
        match does {
            Does::Answer(body) => *response.body_mut() = Full::from(body.to_string()),
            Does::Status(status, header) => {
                *response.status_mut() = status.try_into().unwrap();
                *response.body_mut() = Full::from(format!("quoted: {body}"));
                if let Some((name, value)) = header {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            Does::Hang => std::future::pending().await,
            Does::Reset => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Does::Bytes(bytes, times) => *response.body_mut() = Full::from(bytes.repeat(times)),
        }
        Ok(response)
    }
}
