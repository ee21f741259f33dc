//! The operator for MemoryEngine resources. This crate sends and receives requests; all decisions are made in
//! `operator-core`.
//!
//! `leader` elects the operator that may write. `controller` runs the five steps of a reconcile: `observe` reads (with
//! `cache`, `refusals`, `engine_client`), `apply` writes the objects (with `attempts`, `bounds`), `write_status` writes
//! the status. `anchoring` limits how often anchors are recorded, `context` holds the shared state, `http` serves the
//! probes and `metrics`.

mod admin_tokens;
mod anchoring;
mod apply;
mod ask_command;
mod attempts;
mod backup_records;
mod backups;
mod bounds;
mod cache;
mod connections;
mod context;
mod controller;
mod engine_client;
mod error;
mod exposure;
mod failures;
#[cfg(test)]
mod fake_engine;
mod front_door;
mod hold;
mod http;
mod leader;
mod metrics;
#[cfg(test)]
mod mock_api;
mod observe;
mod options;
mod read_child;
mod refusals;
mod rollout;
mod rotation;
mod secrets;
mod standby;
mod target;
mod tls;
mod tombstone;
mod upkeep;
mod validate_command;
mod write_status;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    leader::{Leader, Leadership},
    metrics::Metrics,
    options::{Command, Options},
};

/// Maximum time in seconds to finish running reconciles and to release the Lease after a stop was requested.
const STOP_SECONDS_MAX: u64 = 10;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    match &options.command {
        Some(Command::Validate(validate)) => return Ok(validate.run(options.settings()).await),
        Some(Command::Ask(ask)) => return Ok(ask.run(&options.pod_namespace).await),
        None => {}
    }
    options.start_logging();
    run(&options).await.map(|()| ExitCode::SUCCESS)
}

/// Runs the operator until it is asked to stop.
async fn run(options: &Options) -> anyhow::Result<()> {
    let config = kube::Config::infer().await.context("no cluster: run in a pod, or set KUBECONFIG")?;
    let metrics = Arc::new(Metrics::new());
    let leader = Leader::start(&config, options, metrics.clone())?;
    let serving = tokio::spawn(http::serve(options.listen, metrics.clone()));
    let result = tokio::select! {
        ended = serving => bail!("the probe server ended: {:?}", ended),
        result = lead(config, options, metrics, leader.state()) => result,
        () = asked_to_stop() => Ok(()),
    };
    leader.stop(Duration::from_secs(STOP_SECONDS_MAX)).await;
    result
}

/// Waits for the Lease, then runs the controller until the Lease is lost.
async fn lead(
    config: kube::Config,
    options: &Options,
    metrics: Arc<Metrics>,
    mut leadership: watch::Receiver<Leadership>,
) -> anyhow::Result<()> {
    leadership.wait_for(|state| *state == Leadership::Leading).await?;
    tracing::info!("leading: starting to reconcile");
    let client = kube::Client::try_from(config)?;
    let running = controller::run(client, options, metrics, leadership.clone());
    tokio::select! {
        ended = running => ended.context("the controller ended"),
        lost = leadership.wait_for(|state| *state == Leadership::Lost) => {
            lost?;
            // The process exits and restarts as a standby: this is the only way to be sure that no task of the old term
            // is still running.
            bail!("the Lease went to another operator")
        }
    }
}

async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen to its own signals");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen to its own signals");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("a stop was requested");
}
