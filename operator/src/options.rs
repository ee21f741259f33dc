//! The options, from the command line or the environment.

use std::net::SocketAddr;

use crate::{ask_command::Ask, validate_command::Validate};
use clap::{Parser, Subcommand};
use operator_core::settings::Settings;
use service::{LogLines, log_panics};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Runs the operator for MemoryEngine resources.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Namespace whose engines are managed; empty for the complete cluster.
    #[arg(long, env = "MEMORY_OPERATOR_WATCH_NAMESPACE", default_value = "")]
    pub(crate) watch_namespace: String,

    /// Default image of engines, for specs without an image.
    #[arg(long, env = "MEMORY_OPERATOR_ENGINE_IMAGE")]
    pub(crate) engine_image: Option<String>,

    /// Image of this operator, which scheduled Jobs of engines run.
    #[arg(long, env = "MEMORY_OPERATOR_IMAGE")]
    pub(crate) image: Option<String>,

    /// Address of probes and metrics. `[::]` is every address of both families; only IPv4 where there is no IPv6.
    #[arg(long, env = "MEMORY_OPERATOR_LISTEN", default_value = "[::]:8080")]
    pub(crate) listen: SocketAddr,

    /// Maximum number of writes to the API server per second for the anchors of all engines; an anchor takes three.
    /// With more growing logs than that, the time between two anchors of each becomes longer.
    #[arg(
        long,
        env = "MEMORY_OPERATOR_ANCHOR_WRITES_PER_SECOND",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub(crate) anchor_writes_per_second: u32,

    /// How long an engine with `spec.exposure.public.ticket` answers clients outside of the cluster after the last
    /// ticket came, seconds. The default suits every installation; tests that wait for the end use less.
    #[arg(
        long,
        env = "MEMORY_OPERATOR_TICKET_SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(30..=3_600)
    )]
    pub(crate) ticket_seconds: u32,

    /// Minimum severity of log messages: error, warn, info, debug or trace; or a filter by module.
    #[arg(long, env = "MEMORY_OPERATOR_LOG", default_value = "info")]
    pub(crate) log: String,

    /// Name of this operator's pod: its identity in the Lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "memory-operator")]
    pub(crate) pod_name: String,

    /// Namespace of this operator's pod. It contains the Lease. Engines accept the operator's connections only from it.
    #[arg(long, env = "POD_NAMESPACE", default_value = "memory-system")]
    pub(crate) pod_namespace: String,
}

/// What the program does instead of running the operator.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ask(Ask),
    Validate(Validate),
}

impl Options {
    /// The options that decisions depend on.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            engine_image: self.engine_image.clone().filter(|image| !image.is_empty()),
            operator_image: self.image.clone().filter(|image| !image.is_empty()),
            is_namespaced: self.namespace().is_some(),
            operator_namespace: self.pod_namespace.clone(),
        }
    }

    /// The watched namespace, if there is only one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(self.watch_namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// Writes logs as JSON lines to standard error.
    pub(crate) fn start_logging(&self) {
        let filter = EnvFilter::try_new(&self.log).unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = LogLines::new(std::io::stderr).with_filter(filter);
        tracing_subscriber::registry().with(lines).init();
        log_panics();
    }
}
