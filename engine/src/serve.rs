//! `memory-engine serve`: starts an engine, serves both ports until a signal arrives, and shuts down gracefully.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use engine_archive::{Repository, Retention};
use engine_core::configuration::Limits;
use engine_core::limits::CONNECTIONS_PER_ADDRESS_DEFAULT;
use engine_core::policy::Policy;
use engine_core::wire::{GivenAnchor, NotApplied};
use engine_log::Clock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::access::AccessControl;
use crate::api::{self, Buckets};
use crate::backup_facts::{RunningEngine, described};
use crate::canary::{OwnReads, compare_all, watch_readiness};
use crate::certificates::Certificates;
use crate::config::{Config, Loaded, Watch};
use crate::digests;
use crate::engine::{Engine, Settings};
use crate::following::{
    FollowSettings, FollowedArchive, check_itself, compare_with_writer, follow, follow_archive,
};
use crate::mcp::Access;
use crate::metrics::Metrics;
use crate::modes::{self, InitialMode};
use crate::pseudonyms::KeyFault;
use crate::question_record::keep_questions;
use crate::ticket::PublicGate;
use service::{listen, regular_file};

/// Maximum size of an anchor, bytes. An anchor has a few hundred bytes and a free-text reason.
const ANCHOR_BYTES_MAX: u64 = 64 << 10;

/// Paths and addresses that `serve` uses.
#[derive(Debug)]
pub(crate) struct ServeOptions {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    /// Address of the probes alone, without TLS.
    pub(crate) probe_listen: Option<SocketAddr>,
    /// Address of the API for clients outside of the cluster, which answers only with a ticket.
    pub(crate) public_listen: Option<SocketAddr>,
    /// File with the anchor: the state that the log must extend.
    pub(crate) anchor: Option<PathBuf>,
    /// The mode that is wanted on a volume that has none.
    pub(crate) mode: InitialMode,
    /// Whether drills may inject faults.
    pub(crate) allow_drill_faults: bool,
    /// The engine to follow; none on an engine that owns its log.
    pub(crate) follow: Option<FollowSettings>,
    /// Whether the lines of that engine come from the archive that is configured.
    pub(crate) follows_archive: bool,
}

/// Why an engine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to.
    Told,
    /// The log has left the branch of its copy, which the next start throws away.
    CopyLeft,
}

/// Serves until SIGTERM or SIGINT, then shuts down gracefully.
///
/// # Errors
/// A port, the configuration, the anchor or the data directory cannot be used.
///
/// `set_level` changes the level of the log.
pub(crate) async fn serve(
    places: ServeOptions,
    loaded: Loaded,
    watch: Watch,
    metrics: Metrics,
    set_level: impl Fn(tracing::Level) + Send + Sync + 'static,
) -> anyhow::Result<Ended> {
    let configuration = described(&loaded.resolved);
    let config = loaded.config;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let listeners = Listeners::bind(&places)?;
    let mut archive = opened_archive(&config, places.follow.is_none() || places.follows_archive)?;
    let follow = followed(places.follow, places.follows_archive, &mut archive)?;
    let certificates = Arc::new(Certificates::open(&config.tls, config.exposed)?);
    let settings = Settings {
        rotation: config.rotation,
        verify_interval: Some(config.verify_interval),
        anchor: places.anchor.as_deref().map(read_anchor).transpose()?,
        policy: policy_of(&config)?,
        embedding: config.embedding,
        search_bytes_max: config.search_bytes_max,
        rerank: config.rerank,
        questions: config.questions,
        guard: config.guard.clone(),
        initial_mode: places.mode,
        follow,
        live: config.live.clone(),
        configuration: watch.state(),
        certificates: Arc::clone(&certificates),
    };
    let engine = Arc::new(Engine::start(&places.data, metrics, settings)?);
    let storage = Arc::clone(&engine.log_handles.context.storage);
    start_archive(&engine, archive, configuration);
    let access = (config.access, config.exposed);
    let control = Arc::new(AccessControl::new(access, storage, Clock::System, &engine.metrics));
    engine.show_issuers(Arc::clone(control.issuers()));
    tokio::spawn(Arc::clone(&control).follow());
    start_public_gate(&engine, &listeners);
    listeners.announce(&config.engine, &places.data)?;
    report_not_applied(&config.not_applied);
    start_following(&engine);
    start_comparing(&engine, &control);
    let guard = start_modes(&engine, places.allow_drill_faults);
    tokio::spawn(Arc::clone(&certificates).follow());
    let buckets = Buckets::new(config.limits.rate());
    let live = (buckets.clone(), Arc::clone(&control));
    tokio::spawn(follow_configuration(watch, Arc::clone(&engine), live, set_level));
    let limits = (config.limits.clone(), Duration::from_secs(config.limits.keep_alive_seconds()));
    let access = Access::new(&config.engine, &config.allowed_hosts, config.server_memory.as_deref());
    let routes = (
        api::routes(Arc::clone(&engine), &access, Arc::clone(&control), buckets),
        api::admin_routes(Arc::clone(&engine), Arc::new(access), control),
    );
    let ports = listeners.serve(&engine, routes, &certificates, &limits);
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => false,
        }
    };
    let (ended, by_platform) = tokio::select! {
        by_platform = told() => (Ended::Told, by_platform),
        () = copy_left(&engine) => (Ended::CopyLeft, false),
    };
    engine.announce_stop();
    // SIGINT comes from a person at a terminal, behind whom no Service sends requests.
    let delay = if by_platform { config.stop_delay } else { Duration::ZERO };
    tracing::info!(?delay, drain = ?config.drain, "stopping: not ready, and still serving for the delay");
    // The endpoints of a Service and the state of load balancers change after they have seen that the engine is not
    // ready. Until then they send new connections, which would be refused.
    let _by_a_second_signal = tokio::time::timeout(delay, told()).await;
    stop(engine, guard, ports, config.drain).await?;
    // Who told it meanwhile does not expect that it begins again.
    let is_told = tokio::time::timeout(Duration::ZERO, told()).await.is_ok();
    Ok(if is_told { Ended::Told } else { ended })
}

/// Waits until the log has left the branch of the copy of a standby.
async fn copy_left(engine: &Engine) {
    match engine.following().and_then(|following| following.standby()) {
        Some(standby) => standby.left().await,
        None => std::future::pending().await,
    }
}

/// Starts the tasks that compare answers with those of a canary, and the one that keeps questions for its rehearsal.
fn start_comparing(engine: &Arc<Engine>, control: &Arc<AccessControl>) {
    let routes = api::own_reads(Arc::clone(engine), Arc::clone(control));
    let own = OwnReads { routes, control: Arc::clone(control) };
    tokio::spawn(compare_with_canary(Arc::clone(engine), own));
    tokio::spawn(keep_questions(Arc::clone(engine)));
}

/// Compares a canary with this engine, whenever there is one. Both tasks last as long as the process, so an end is a
/// mistake.
async fn compare_with_canary(engine: Arc<Engine>, own: OwnReads) {
    let mut readiness = tokio::spawn(watch_readiness(Arc::clone(&engine)));
    let mut comparison = tokio::spawn(compare_all(Arc::clone(&engine), own));
    let ended = tokio::select! {
        ended = &mut readiness => ended,
        ended = &mut comparison => ended,
    };
    readiness.abort();
    comparison.abort();
    tracing::error!(
        ?ended,
        "comparing canaries has ended: no canary is asked until this engine starts again"
    );
    engine.canary.give_up();
}

fn policy_of(config: &Config) -> anyhow::Result<Arc<Policy>> {
    let policy = Policy::new(&config.policy);
    policy.map(Arc::new).map_err(|faults| anyhow::anyhow!("the policy: {faults:?}"))
}

/// Reports what of the command line about modes is not used, lets drills inject faults, and starts the task of the
/// guard.
fn start_modes(engine: &Arc<Engine>, allow_drill_faults: bool) -> JoinHandle<()> {
    engine.modes.report_unused_mode();
    if allow_drill_faults {
        engine.modes.allow_drill_faults();
    }
    tokio::spawn(modes::drive(Arc::clone(engine)))
}

/// Starts the tasks that continue the copy and check this engine, on one that follows another one, and on others that
/// which looks at their key.
fn start_following(engine: &Arc<Engine>) {
    tokio::spawn(digests::note_all(Arc::clone(engine)));
    let Some(following) = engine.following() else {
        tokio::spawn(look_at_pseudonym_key(Arc::clone(engine)));
        return;
    };
    if following.standby().is_some() {
        tokio::spawn(follow_archive(Arc::clone(engine), Arc::clone(following)));
        tokio::spawn(compare_with_writer(Arc::clone(engine), Arc::clone(following)));
    } else {
        tokio::spawn(follow(Arc::clone(engine), Arc::clone(following)));
    }
    tokio::spawn(check_itself(Arc::clone(engine), Arc::clone(following)));
}

/// An archive, the time between two of its steps, and which of its backups stay.
type OpenedArchive = (Repository, (Duration, Retention));

/// Opens the archive that is configured, so that a fault of its settings prevents the start. Only the owner of a log
/// archives it, and only a standby reads it.
fn opened_archive(config: &Config, is_used: bool) -> anyhow::Result<Option<OpenedArchive>> {
    let Some(settings) = config.archive.as_ref().filter(|_| is_used) else { return Ok(None) };
    let repository = engine_archive::open(settings).context("the archive cannot be used")?;
    Ok(Some((repository, (settings.interval(), Retention::of(&settings.section)))))
}

/// The engine to follow, with the archive if its lines come from there: nothing is written to that.
fn followed(
    follow: Option<FollowSettings>,
    follows_archive: bool,
    archive: &mut Option<OpenedArchive>,
) -> anyhow::Result<Option<FollowSettings>> {
    let Some(follow) = follow else { return Ok(None) };
    if !follows_archive {
        return Ok(Some(follow));
    }
    let missing = "--follow-archive needs the archive of that engine: set backup.url, as it is there";
    let (repository, (interval, _)) = archive.take().context(missing)?;
    Ok(Some(FollowSettings { archive: Some(FollowedArchive { repository, interval }), ..follow }))
}

/// Starts the task that archives the log, if an archive is configured.
fn start_archive(engine: &Engine, archive: Option<OpenedArchive>, configuration: String) {
    let Some((repository, pace)) = archive else { return };
    let (handles, metrics) = (engine.log_handles.clone(), Arc::clone(&engine.metrics.archive));
    let facts = Arc::new(RunningEngine::new(Arc::clone(&engine.projection), configuration));
    engine.set_archive(engine_archive::start(repository, handles, metrics, pace, facts));
}

/// The ports before they are served.
struct Listeners {
    api: TcpListener,
    admin: TcpListener,
    probes: Option<TcpListener>,
    public: Option<TcpListener>,
}

/// The ports that are served.
struct Ports {
    clients: api::Serving,
    public: Option<api::Serving>,
    /// The ports of the platform, which are closed last.
    platform: Vec<api::Serving>,
}

impl Listeners {
    fn bind(places: &ServeOptions) -> anyhow::Result<Listeners> {
        Ok(Listeners {
            api: listen_on(places.listen)?,
            admin: listen_on(places.admin_listen)?,
            probes: places.probe_listen.map(listen_on).transpose()?,
            public: places.public_listen.map(listen_on).transpose()?,
        })
    }

    /// Says in the log where this engine is served.
    fn announce(&self, engine: &str, data: &Path) -> std::io::Result<()> {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            engine,
            data = %data.display(),
            listen = %self.api.local_addr()?,
            admin_listen = %self.admin.local_addr()?,
            probe_listen = address_of(self.probes.as_ref())?,
            public_listen = address_of(self.public.as_ref())?,
            "serving"
        );
        Ok(())
    }

    fn serve(
        self,
        engine: &Arc<Engine>,
        (routes, admin_routes): (Router, Router),
        certificates: &Certificates,
        (limits, keep_alive): &(Limits, Duration),
    ) -> Ports {
        let Listeners { api, admin, probes, public } = self;
        let platform = |listener, tls, routes| {
            let port = api::Port { listener, tls, gate: None };
            api::serve(port, routes, CONNECTIONS_PER_ADDRESS_DEFAULT, *keep_alive)
        };
        let admin = platform(admin, certificates.admin.clone(), admin_routes);
        let probes = probes.map(|probes| platform(probes, None, api::probe_routes(Arc::clone(engine))));
        let clients = |listener, gate| {
            let port = api::Port { listener, tls: certificates.api.clone(), gate };
            api::serve(port, routes.clone(), limits.connections_per_address(), *keep_alive)
        };
        Ports {
            clients: clients(api, None),
            public: public.map(|public| clients(public, engine.public_gate().cloned())),
            platform: [admin].into_iter().chain(probes).collect(),
        }
    }
}

/// The address of a port that not every engine has, for the log.
fn address_of(listener: Option<&TcpListener>) -> std::io::Result<Option<String>> {
    listener.map(|listener| Ok(listener.local_addr()?.to_string())).transpose()
}

/// Closes the public port, if there is one, until the first ticket comes, and again when the last one ends.
fn start_public_gate(engine: &Engine, listeners: &Listeners) {
    if listeners.public.is_none() {
        return;
    }
    let gate = Arc::new(PublicGate::new(Clock::System, engine.metrics.ticket.clone()));
    tokio::spawn(Arc::clone(&gate).follow());
    engine.set_public_gate(gate);
}

/// Applies changes of the configuration files.
async fn follow_configuration(
    watch: Watch,
    engine: Arc<Engine>,
    (buckets, control): (Buckets, Arc<AccessControl>),
    set_level: impl Fn(tracing::Level),
) {
    let apply = |config: &Config| {
        set_level(config.log_level);
        buckets.set(config.limits.rate());
        control.set(&config.access);
        engine.set_live(config.live.clone());
    };
    watch.run(apply).await;
}

/// Logs the parts of the configuration that `/health` reports as not applied.
fn report_not_applied(parts: &[NotApplied]) {
    for part in parts {
        tracing::warn!(
            key = part.key,
            unknown = ?part.unknown,
            version = env!("CARGO_PKG_VERSION"),
            "the configuration has a part that this version does not know; it is not applied"
        );
    }
}

/// Interval and maximum number of checks of the pseudonym key after a start. They allow enough time for a large
/// projection to be built. After that, the first name that needs the key triggers the check.
const KEY_LOOK_INTERVAL: Duration = Duration::from_secs(1);
const KEY_CHECKS_MAX: u32 = 3600;

/// Checks the pseudonym key after a start, to detect a lost key before a client uses a name that needs it.
async fn look_at_pseudonym_key(engine: Arc<Engine>) {
    for _ in 0..KEY_CHECKS_MAX {
        match engine.pseudonym_key().await {
            Err(KeyFault::Unknown) => tokio::time::sleep(KEY_LOOK_INTERVAL).await,
            // The fault was logged already.
            _ => return,
        }
    }
}

/// Reads the anchor. An anchor that cannot be read prevents the start, because without an anchor a log that lost its
/// tail looks complete.
fn read_anchor(path: &Path) -> anyhow::Result<GivenAnchor> {
    let text = regular_file::read(path, ANCHOR_BYTES_MAX)
        .with_context(|| format!("cannot read the anchor {path:?}"))?;
    let given =
        engine_core::request::parse(&text).with_context(|| format!("the anchor {path:?} cannot be read"))?;
    engine_core::anchor::check_form(&given)
        .with_context(|| format!("{path:?} does not contain a valid anchor"))?;
    Ok(given)
}

/// Time for requests of probes and scrapes that are running when everything else has stopped.
const LAST_DRAIN: Duration = Duration::from_millis(100);

fn listen_on(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("cannot listen on {address}"))
}

async fn stop(
    engine: Arc<Engine>,
    guard: JoinHandle<()>,
    ports: Ports,
    drain: Duration,
) -> anyhow::Result<()> {
    tracing::info!("stopping: no new connections");
    let public = async {
        match ports.public {
            Some(public) => public.drain(drain).await,
            None => true,
        }
    };
    let (is_drained, is_public_drained) = tokio::join!(ports.clients.drain(drain), public);
    if !(is_drained && is_public_drained) {
        tracing::warn!("requests were still running at the end of the drain; they are aborted");
    }
    // The admin port is drained last, so that probes still reach the process while it stops.
    for port in ports.platform {
        port.drain(LAST_DRAIN).await;
    }
    // Until here the guard judges the calls of requests that are still running.
    guard.abort();
    let _aborted = guard.await;
    tokio::task::spawn_blocking(move || engine.stop()).await.context("stopping the threads failed")?;
    tracing::info!("stopped");
    Ok(())
}
