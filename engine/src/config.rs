//! The configuration, converted to the values that the engine uses: [`sources`] reads it, [`reload`] watches its
//! files. [`engine_core::configuration`] defines its keys, bounds and defaults.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use engine_archive::ArchiveSettings;
use engine_core::configuration::{Access, Configuration, DeploymentMode, Limits, LogLevel, Tls, Tracing};
use engine_core::guard::GuardSettings;
use engine_core::policy;
use engine_core::rollout::questions::Bounds;
use engine_core::wire::NotApplied;
use engine_log::Rotation;
use service::secret_file::Exposed;
use thiserror::Error;

use engine_retrieval::providers::RerankService;

mod live;
mod providers;
mod reload;
mod sources;

pub(crate) use live::{ConfigurationState, LiveSettings};
pub(crate) use providers::Embedding;
pub(crate) use reload::Watch;
pub(crate) use sources::{ConfigArgs, Loaded, Sources};

/// The values that are set, and defaults for the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `namespace/name` of the engine in its cluster; empty outside a cluster. It identifies the engine in logs and
    /// metrics.
    pub(crate) engine: String,
    pub(crate) log_level: tracing::Level,
    /// How long requests in progress may take to finish after the engine is told to stop.
    pub(crate) drain: Duration,
    /// How long the API serves on after SIGTERM, before the drain begins.
    pub(crate) stop_delay: Duration,
    /// When the log starts a new file.
    pub(crate) rotation: Rotation,
    /// Interval between two full verifications of log and projection.
    pub(crate) verify_interval: Duration,
    /// The policy for everything that is written.
    pub(crate) policy: policy::Settings,
    /// The embedding model.
    pub(crate) embedding: Embedding,
    /// Memory budget for search, bytes. If absent, a share of the memory that the process may use.
    pub(crate) search_bytes_max: Option<u64>,
    /// Service that reranks the best results of a search.
    pub(crate) rerank: Option<RerankService>,
    /// Settings that take effect without a restart.
    pub(crate) live: LiveSettings,
    /// Hosts that requests to `/mcp` may name, in addition to the local machine and the engine's Service.
    pub(crate) allowed_hosts: Vec<String>,
    /// Project of the tools of the MCP server `memory`; if absent, these tools are not served.
    pub(crate) server_memory: Option<String>,
    /// Limits on what one client address may request.
    pub(crate) limits: Limits,
    /// The parameters of the guard.
    pub(crate) guard: GuardSettings,
    /// How many questions of clients are kept for rehearsals; `None` if nothing is kept.
    pub(crate) questions: Option<Bounds>,
    /// Where traces are sent to.
    pub(crate) tracing: Tracing,
    /// Certificates of the ports.
    pub(crate) tls: Tls,
    /// Who may use the engine.
    pub(crate) access: Access,
    /// Where the log is archived; `None` if it is not.
    pub(crate) archive: Option<ArchiveSettings>,
    /// What is done with files of secrets that somebody else can read or change.
    pub(crate) exposed: Exposed,
    /// Parts of the file that this version does not know.
    pub(crate) not_applied: Vec<NotApplied>,
}

impl Default for Config {
    fn default() -> Config {
        // An empty configuration has no faults to report.
        converted(Configuration::default(), &mut Vec::new())
    }
}

/// All faults of the configuration file, reported together.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration {path:?} is not YAML: {source}")]
    Yaml { path: PathBuf, source: serde_yaml::Error },
    #[error("the configuration{} is not valid:{}", path.as_ref().map(|path| format!(" {path:?}")).unwrap_or_default(), list(.faults))]
    Faults { path: Option<PathBuf>, faults: Vec<String> },
}

fn list(faults: &[String]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        let _infallible = write!(text, "\n  - {fault}");
        text
    })
}

/// Converts the checked values to the types that the engine uses.
fn converted(file: Configuration, faults: &mut Vec<String>) -> Config {
    let live = LiveSettings::of(&file);
    let exposed = match file.deployment.mode() {
        DeploymentMode::Production => Exposed::Refused,
        DeploymentMode::Development => Exposed::Reported,
    };
    if file.access.certificates.is_some() && file.tls.client_authority_file.is_none() {
        faults.push("access.certificates needs tls.clientAuthorityFile".to_owned());
    }
    let names = [file.engine.namespace, file.engine.name];
    Config {
        live,
        engine: names.into_iter().flatten().collect::<Vec<_>>().join("/"),
        log_level: level(file.log.level()),
        drain: Duration::from_secs(file.shutdown.drain_seconds()),
        stop_delay: Duration::from_secs(file.shutdown.delay_seconds()),
        rotation: Rotation::from(&file.rotation),
        verify_interval: Duration::from_secs(file.integrity.verify_interval_seconds()),
        policy: file.policy.settings().unwrap_or_else(|fault| {
            faults.push(fault);
            policy::Settings::default()
        }),
        embedding: providers::embedding(&file.embedding, exposed, faults),
        search_bytes_max: file.retrieval.max_memory_bytes,
        rerank: providers::rerank(&file.rerank, exposed, faults),
        allowed_hosts: file.mcp.allowed_hosts(),
        server_memory: file.mcp.server_memory_tools().then(|| file.mcp.server_memory_project()),
        limits: file.limits,
        guard: file.guard.settings(),
        questions: file.rehearsal.bounds(),
        tracing: file.tracing,
        tls: file.tls,
        archive: ArchiveSettings::of(&file.backup, exposed),
        access: file.access,
        exposed,
        not_applied: Vec::new(),
    }
}

fn level(level: LogLevel) -> tracing::Level {
    match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use engine_core::configuration::{self, ALLOWED_HOSTS_MAX, Author, Retention};
    use engine_core::limits::PROJECT_DEFAULT;
    use engine_core::wire::SameText;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    pub(super) fn parse(text: &str) -> Result<Config, Vec<String>> {
        let file = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(text).unwrap()).unwrap();
        let (configuration, not_applied) = configuration::read(&file, Author::Person)?;
        let mut faults = Vec::new();
        let config = Config { not_applied, ..converted(configuration, &mut faults) };
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    #[test]
    fn every_key_is_optional() {
        assert_eq!(parse("{}"), Ok(Config::default()));
        assert_eq!(parse(""), Ok(Config::default()));
        let text =
            "engine: {namespace: team-a, name: notes}\nlog: {level: debug}\nshutdown: {drainSeconds: 5}";
        let config = parse(text).unwrap();
        assert_eq!((config.engine.as_str(), config.log_level), ("team-a/notes", tracing::Level::DEBUG));
        assert_eq!(config.drain, Duration::from_secs(5));
    }

    #[test]
    fn rotation_and_verification_have_bounds() {
        let text = "rotation: {maxSegmentBytes: 1048576, maxSegmentAgeSeconds: 60}\n\
                    integrity: {verifyIntervalSeconds: 2592000}";
        let config = parse(text).unwrap();
        let rotation = Rotation { segment_bytes_max: 1 << 20, segment_age_max: Duration::from_secs(60) };
        assert_eq!((config.rotation, config.verify_interval), (rotation, 30 * DAY));
        for text in [
            "rotation: {maxSegmentBytes: 1048575}",
            "rotation: {maxSegmentBytes: 1073741825}",
            "rotation: {maxSegmentAgeSeconds: 59}",
            "integrity: {verifyIntervalSeconds: daily}",
        ] {
            assert_eq!(parse(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn memory_for_searching_has_bounds() {
        let bytes =
            |text: &str| parse(&format!("retrieval: {{{text}}}")).map(|config| config.search_bytes_max);
        assert_eq!(bytes("maxMemoryBytes: 1048576"), Ok(Some(1 << 20)));
        assert_eq!(bytes(""), Ok(None));
        for text in ["maxMemoryBytes: 1048575", "maxMemoryBytes: 1Gi", "weights: {}"] {
            assert_eq!(bytes(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn the_tools_of_server_memory_are_asked_for() {
        let project = |text: &str| parse(&format!("mcp: {{{text}}}")).map(|config| config.server_memory);
        assert_eq!(project("serverMemoryTools: true"), Ok(Some(PROJECT_DEFAULT.to_owned())));
        assert_eq!(project("serverMemoryTools: true, serverMemoryProject: p"), Ok(Some("p".to_owned())));
        assert_eq!(project("serverMemoryTools: false"), Ok(None));
        for text in [
            "serverMemoryTools: yes please",
            "serverMemoryProject: p",
            "serverMemoryTools: true, serverMemoryProject: ' '",
        ] {
            assert_eq!(project(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_done_with_a_known_text_is_one_of_two_words() {
        let same_text =
            |text: &str| parse(&format!("saving: {{{text}}}")).map(|config| config.live.same_text);
        assert_eq!(same_text("sameText: Say"), Ok(SameText::SaveAndReport));
        assert_eq!(same_text("sameText: SaveOnce"), Ok(SameText::SaveOnce));
        assert_eq!(same_text(""), Ok(SameText::SaveAndReport));
        for text in ["sameText: Never", "sameText: true", "once: true"] {
            assert_eq!(same_text(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn retention_has_defaults_and_bounds() {
        let config = parse("retention: {maxAgeDays: 90, spikeGuardPercent: 100}").unwrap();
        let expected = Retention {
            max_age_days: Some(90),
            max_entries_per_project: None,
            spike_guard_percent: Some(100),
        };
        assert_eq!(config.live.retention, expected);
        for text in ["maxAgeDays: 0", "maxEntriesPerProject: 0", "spikeGuardPercent: 101", "schedule: daily"]
        {
            assert_eq!(parse(&format!("retention: {{{text}}}")).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn bounds_on_one_address_are_numbers_within_bounds() {
        let limits = parse("limits: {requestsPerSecond: 50, connectionsPerAddress: 512}").unwrap().limits;
        let rate = limits.rate().unwrap();
        let connections = limits.connections_per_address();
        assert_eq!((rate.per_second.get(), rate.burst.get(), connections), (50, 50, 512));
        let limits = parse("limits: {requestsPerSecond: 50, burst: 200}").unwrap().limits;
        assert_eq!(limits.rate().unwrap().burst.get(), 200);
        assert_eq!(parse("limits: {}").unwrap().limits, Limits::default());
        let limits = parse("limits: {keepAliveSeconds: 620}").unwrap().limits;
        assert_eq!(limits.keep_alive_seconds(), 620);
        for text in [
            "requestsPerSecond: 0",
            "burst: 5",
            "connectionsPerAddress: 513",
            "rate: 1",
            "keepAliveSeconds: 4",
        ] {
            assert_eq!(parse(&format!("limits: {{{text}}}")).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn hosts_are_names_and_nothing_else() {
        let config =
            parse("mcp: {allowedHosts: [memory.example.org, 'proxy.example.org:8443', '[fd00::1]']}");
        assert_eq!(config.unwrap().allowed_hosts.len(), 3);
        for bad in [
            "x",
            "['*']",
            "['*.example.org']",
            "['http://a.b']",
            "['a.b/mcp']",
            "['u@a.b']",
            "['']",
            "[1]",
            "[':1']",
        ] {
            assert_eq!(parse(&format!("mcp: {{allowedHosts: {bad}}}")).unwrap_err().len(), 1, "{bad}");
        }
        let many = vec!["a"; ALLOWED_HOSTS_MAX + 1].join(",");
        assert!(parse(&format!("mcp: {{allowedHosts: [{many}]}}")).is_err());
    }

    #[test]
    fn every_fault_is_named() {
        let faults =
            parse("engine: {nam: x}\nlog: {level: loud}\nshutdown: {drainSeconds: 0}\nmore: 1").unwrap_err();
        let expected = ["\"more\"", "\"nam\"", "log.level", "shutdown.drainSeconds"];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }
}
