//! Sends requests to the collector with the engine's HTTP client. The thread that sends batches has no runtime, so this
//! client brings its own.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use engine_retrieval::providers::{HttpClient as Connections, http_client};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::{Builder, Runtime};

/// Maximum size of an answer, bytes. A collector answers with a few bytes, or names the spans that it refused.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The client for one collector.
#[derive(Debug)]
pub(super) struct Sender {
    http: Connections,
    runtime: Runtime,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(endpoint: &str, timeout: Duration) -> anyhow::Result<Sender> {
        let uri: Uri = endpoint.parse().context("tracing.endpoint is not a URL")?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let http = http_client(&uri, timeout)?;
        Ok(Sender { http, runtime, timeout })
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl HttpClient for Sender {
    // What the macro of the trait makes of an asynchronous function.
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            self.runtime.block_on(async {
                match tokio::time::timeout(self.timeout, self.exchange(request)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
                }
            })
        })
    }
}
