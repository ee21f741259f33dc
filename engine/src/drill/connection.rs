//! The connection to the engine under drill: both of its ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::HeaderValue;
use clap::Args;
use engine_retrieval::providers::{HttpClient, http_client, http_client_presenting, http_client_trusting};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri, header};
use serde_json::Value;
use service::secret_file::Exposed;
use service::tls::{Identity, client_config};
use tokio::sync::RwLock;

use super::verdict::Stop;
use crate::token_command::{bearer, read_token};

/// Timeout of a request. Everything that a drill asks for takes milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time until a connection is open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a response, bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Name of the check that fails if an engine gives no answer.
const REACHED: &str = "reached";

#[derive(Debug, Args)]
pub(super) struct ConnectionArgs {
    /// URL of the API of the running engine
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    api: Uri,
    /// Admin port of the running engine, as HOST:PORT
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_ADMIN", default_value = "127.0.0.1:8081")]
    admin: String,
    /// Directory with tls.crt, tls.key and ca.crt, for ports with TLS: a certificate that the engine accepts, and the
    /// authorities that it is verified with
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_ADMIN_TLS_DIRECTORY")]
    tls_directory: Option<PathBuf>,
    /// File with the key that the API is asked with: it needs the scopes read and write, and every project
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// File with the token that the admin port demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
}

/// One port.
#[derive(Debug, Clone)]
struct Port {
    base: String,
    http: HttpClient,
    authorization: Option<HeaderValue>,
}

/// Both ports of the engine.
#[derive(Debug)]
pub(super) struct Connection {
    api: Port,
    admin: Port,
    /// Held by every write until it is answered, so that what a drill undoes comes after all that it has done.
    writes: Arc<RwLock<()>>,
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
    /// Null if the response is not JSON.
    pub(super) json: Value,
}

impl Answer {
    /// The status, and the code of the refusal if it is one.
    pub(super) fn outcome(&self) -> String {
        match self.code() {
            "" => self.status.to_string(),
            code => format!("{} {code}", self.status),
        }
    }

    /// The code of a refusal; empty if it is none.
    pub(super) fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The response, if the request was carried out.
    ///
    /// # Errors
    /// It was refused: then the check of this name does not hold.
    pub(super) fn ok(self, name: &'static str) -> Result<Answer, Stop> {
        if self.is_ok() { Ok(self) } else { Err(Stop::Failed(name, format!("answered {}", self.outcome()))) }
    }
}

impl ConnectionArgs {
    /// Reads the credentials. Nothing is sent.
    pub(super) fn open(&self) -> anyhow::Result<Connection> {
        let key = self.token_file.as_deref().map(read_token).transpose()?;
        let token = self.admin_token_file.as_deref().map(read_token).transpose()?;
        let scheme = if self.tls_directory.is_some() { "https" } else { "http" };
        let admin = if self.admin.contains("://") {
            self.admin.clone()
        } else {
            format!("{scheme}://{}", self.admin)
        };
        let admin: Uri = admin.parse().with_context(|| format!("{:?} is not an address", self.admin))?;
        Ok(Connection {
            // A caller with a key is recognised by it, and not by a certificate.
            api: self.port(&self.api, key.as_deref(), key.is_none())?,
            admin: self.port(&admin, token.as_deref(), true)?,
            writes: Arc::default(),
        })
    }

    fn port(&self, url: &Uri, token: Option<&str>, presents: bool) -> anyhow::Result<Port> {
        let scheme = url.scheme_str();
        if !matches!(scheme, Some("http" | "https"))
            || url.authority().is_none()
            || !matches!(url.path(), "" | "/")
        {
            bail!("{url} is not the URL of a port, such as http://127.0.0.1:8080");
        }
        let http = match &self.tls_directory {
            Some(directory) if presents => {
                http_client_presenting((*client_config(directory)?).clone(), CONNECT_TIMEOUT)
            }
            Some(directory) => {
                let authorities = Identity::read(directory, Exposed::Reported)?.authorities;
                http_client_trusting(url, CONNECT_TIMEOUT, Some(authorities))?
            }
            None => http_client(url, CONNECT_TIMEOUT)?,
        };
        let authorization = token.map(bearer).transpose()?;
        Ok(Port { base: url.to_string().trim_end_matches('/').to_owned(), http, authorization })
    }
}

impl Connection {
    /// Reads from the API.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Stop> {
        self.api.ask(Method::GET, path, None).await
    }

    /// Sends a read to the API that has a body.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Result<Answer, Stop> {
        self.api.ask(Method::POST, path, Some(body.to_string())).await
    }

    /// Sends a write to the API. It goes on if nobody waits for it any more.
    pub(super) async fn write(&self, path: &'static str, body: &Value) -> Result<Answer, Stop> {
        let (port, body) = (self.api.clone(), body.to_string());
        let held = Arc::clone(&self.writes).read_owned().await;
        let written = tokio::spawn(async move {
            let _held = held;
            port.ask(Method::POST, path, Some(body)).await
        });
        written.await.unwrap_or_else(|fault| Err(Stop::Failed(REACHED, fault.to_string())))
    }

    /// Waits until every write is answered.
    pub(super) async fn settle(&self) {
        let _all = self.writes.write().await;
    }

    /// Reads from the admin port.
    pub(super) async fn admin(&self, path: &str) -> Result<Answer, Stop> {
        self.admin.ask(Method::GET, path, None).await
    }

    /// Sends a request to the admin port that changes something.
    pub(super) async fn administer(&self, path: &str, body: Option<&Value>) -> Result<Answer, Stop> {
        self.admin.ask(Method::POST, path, Some(body.map(Value::to_string).unwrap_or_default())).await
    }
}

impl Port {
    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Result<Answer, Stop> {
        // The query of a request is left out: names in it may be those of people.
        let shown = path.split('?').next().unwrap_or_default().to_owned();
        let failed = |why: String| Stop::Failed(REACHED, format!("{shown}: {why}"));
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(method, path, body)).await;
        let asked = asked.unwrap_or_else(|_| bail!("no answer within {REQUEST_TIMEOUT:?}"));
        asked.map_err(|fault| failed(format!("{fault:#}")))
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.as_ref().is_some_and(|body| !body.is_empty()) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status: head.status.as_u16(), text, json })
    }
}
