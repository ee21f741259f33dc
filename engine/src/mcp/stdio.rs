//! `memory-engine mcp`: an MCP server over stdio for the client that started this process. Only the protocol is written
//! to standard output.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use engine_core::limits::PROJECT_DEFAULT;
use engine_core::request;
use rmcp::serve_server;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::Server;
use super::forward::Forward;
use super::lines::Lines;
use crate::access::Session;
use crate::config::Config;
use crate::engine::{Engine, Settings};
use crate::metrics::Metrics;
use crate::modes;
use crate::token_command::read_token;

/// How long the server waits for the log to open and the projection to load before it starts serving. Clients give a
/// server about a minute to start. If building the projection takes longer, reads are refused with the reason until the
/// projection is ready.
const READY_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// Data directory to open; no other process may have it open
    #[arg(long, value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// URL of a running engine to forward calls to, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the key that the running engine is asked with
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Also serve the tools of the MCP server `memory`, such as `create_entities`; with --url, the configuration of the
    /// running engine decides
    #[arg(long, conflicts_with = "url")]
    server_memory_tools: bool,
    /// Project whose graph the tools of `memory` read and write
    #[arg(long, value_name = "NAME", requires = "server_memory_tools", default_value = PROJECT_DEFAULT)]
    server_memory_project: String,
}

/// Serves until the client closes standard input, or until SIGTERM or SIGINT.
pub(crate) async fn mcp(args: McpArgs) -> anyhow::Result<()> {
    if let Some(url) = args.url {
        let token = args.token_file.as_deref().map(read_token).transpose()?;
        let engine = Forward::new(&url, token.as_deref())?;
        engine.greet().await?;
        return serve(Server::running(engine)).await;
    }
    let project = args.server_memory_project;
    request::filter("--server-memory-project", &project)?;
    let server_memory = args.server_memory_tools.then(|| Arc::from(project));
    let config = Config::default();
    let settings = Settings {
        rotation: config.rotation,
        verify_interval: Some(config.verify_interval),
        live: config.live,
        ..Settings::default()
    };
    let metrics = Metrics::new("").context("cannot define the metrics")?;
    let data = args.data.context("one of --data and --url is needed")?;
    let engine = Arc::new(Engine::start(&data, metrics, settings)?);
    let started = Instant::now();
    while !engine.is_ready() && started.elapsed() < READY_LIMIT {
        sleep(Duration::from_millis(10)).await;
    }
    let guard = tokio::spawn(modes::drive(Arc::clone(&engine)));
    let served = serve(Server::here(Arc::clone(&engine), Session::local(), server_memory)).await;
    guard.abort();
    tokio::task::spawn_blocking(move || engine.stop()).await.context("stopping the threads failed")?;
    served
}

async fn serve(server: Server) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let served = async {
        let (input, output) = stdio();
        let session = match serve_server(server, Lines::new(input, output)).await {
            Ok(session) => session,
            // The client closed the input without sending anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(fault) => return Err(fault).context("the client did not initialise the session"),
        };
        session.waiting().await.context("serving ended early").map(drop)
    };
    tokio::select! {
        served = served => served,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
