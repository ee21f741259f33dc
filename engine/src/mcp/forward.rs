//! Forwards calls to an engine in another process over HTTP. It uses the newest protocol revision, in which each call
//! is one independent request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::HeaderValue;
use engine_core::trace_context::{TRACEPARENT_HEADER, TraceParent};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, DiscoverResult, ListToolsResult, ProtocolVersion, Tool,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::token_command::bearer;

/// Timeout of one call. It is longer than the engine's own timeout for a request.
const CALL_LIMIT: Duration = Duration::from_secs(40);
/// How long an idle connection is kept for the next call.
const POOL_IDLE_MAX: Duration = Duration::from_secs(4);
/// Largest response that is accepted, bytes. The largest response of an engine is a page of events, escaped twice; this
/// limit is larger.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Client of a running engine.
#[derive(Debug)]
pub(super) struct Forward {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    requests: AtomicU64,
    /// The header with the key, if there is one.
    authorization: Option<HeaderValue>,
}

/// A JSON-RPC response.
#[derive(Deserialize)]
struct Reply {
    result: Option<Value>,
    error: Option<ErrorData>,
}

impl Forward {
    /// Creates a client. `url` is the base URL of the engine's API, with or without `/mcp`.
    pub(super) fn new(url: &str, token: Option<&str>) -> anyhow::Result<Forward> {
        let base = url.trim_end_matches('/').trim_end_matches("/mcp");
        let endpoint: Uri = format!("{base}/mcp").parse().with_context(|| format!("{url:?} is not a URL"))?;
        if endpoint.scheme_str() != Some("http") || endpoint.authority().is_none() {
            bail!("{url:?} is not the URL of an engine, such as http://127.0.0.1:8080");
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // This is shorter than the keep-alive time of any engine, because a request on a connection that is being
            // closed fails.
            .pool_idle_timeout(POOL_IDLE_MAX)
            .build_http();
        let authorization = token.map(bearer).transpose()?;
        Ok(Forward { client, endpoint, requests: AtomicU64::new(0), authorization })
    }

    /// Checks that an engine answers at the URL and supports the newest protocol revision. It is called before the
    /// server accepts a client.
    pub(super) async fn greet(&self) -> anyhow::Result<()> {
        let about: DiscoverResult = self
            .ask("server/discover", None, json!({}))
            .await
            .map_err(|fault| anyhow::anyhow!("{}", fault.message))?;
        if !about.supported_versions.contains(&ProtocolVersion::V_2026_07_28) {
            bail!(
                "the engine at {} does not support revision {}",
                self.endpoint,
                ProtocolVersion::V_2026_07_28
            );
        }
        Ok(())
    }

    pub(super) async fn tools(&self) -> Result<Vec<Tool>, ErrorData> {
        self.ask("tools/list", None, json!({})).await.map(|list: ListToolsResult| list.tools)
    }

    /// Calls a tool. The engine continues the trace of `caller`.
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        caller: Option<TraceParent>,
    ) -> Result<CallToolResult, ErrorData> {
        // The name is also sent in a header. All names of this server's tools are valid header values, so any other
        // name is unknown.
        let plain = request.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let name = HeaderValue::from_str(&request.name).ok().filter(|_| plain);
        let name = name.ok_or_else(|| ErrorData::invalid_params("there is no such tool", None))?;
        let mut params = json!({ "name": request.name, "arguments": request.arguments.unwrap_or_default() });
        if let Some(caller) = caller {
            params["_meta"][TRACEPARENT_HEADER] = caller.to_string().into();
        }
        self.ask("tools/call", Some(name), params).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        name: Option<HeaderValue>,
        mut params: Value,
    ) -> Result<T, ErrorData> {
        let version = ProtocolVersion::V_2026_07_28;
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!(version);
        meta["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": "memory-engine mcp", "version": env!("CARGO_PKG_VERSION") });
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = Request::post(&self.endpoint)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", version.as_str())
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|fault| ErrorData::internal_error(fault.to_string(), None))?;
        let answer = tokio::time::timeout(CALL_LIMIT, self.receive(request)).await;
        let reply = answer.unwrap_or_else(|_| Err(format!("no answer in {CALL_LIMIT:?}")));
        let reply = reply.map_err(|why| {
            let message = format!("the engine at {} cannot be reached: {why}", self.endpoint);
            ErrorData::internal_error(message, None)
        })?;
        match reply {
            Reply { error: Some(error), .. } => Err(error),
            Reply { result, .. } => serde_json::from_value(result.unwrap_or_default()).map_err(|fault| {
                let message = format!("{} does not answer like an engine: {fault}", self.endpoint);
                ErrorData::internal_error(message, None)
            }),
        }
    }

    async fn receive(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let answer = self.client.request(request).await.map_err(|fault| {
            // The source of the error has the reason; the error itself only says "client error (Connect)".
            let reason = std::error::Error::source(&fault).map(ToString::to_string);
            reason.unwrap_or_else(|| fault.to_string())
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|fault| fault.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| format!("it answers {status} without JSON-RPC"))
    }
}
