//! The configuration file.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine_core::limits::{
    PROJECT_DEFAULT, RETENTION_AGE_DAYS_MAX, RETENTION_ENTRIES_MAX, SPIKE_GUARD_PERCENT_DEFAULT,
};
use engine_core::policy::{self, Policy};
use engine_core::request;
use engine_core::wire::SameText;
use engine_log::Rotation;
use serde_yaml::{Mapping, Value};
use thiserror::Error;

use engine_retrieval::providers::RerankService;

mod limits;
mod providers;

pub(crate) use limits::Limits;
pub(crate) use providers::Embedding;

/// What the file says, with defaults for what it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `namespace/name` of the engine on its cluster; empty elsewhere. Names it in logs and metrics.
    pub(crate) engine: String,
    pub(crate) log_level: tracing::Level,
    /// How long requests may take to finish once the engine was told to stop.
    pub(crate) drain: Duration,
    /// When the log goes on in a new file.
    pub(crate) rotation: Rotation,
    /// How often everything is read back and verified.
    pub(crate) verify_interval: Duration,
    /// What may be written.
    pub(crate) policy: policy::Settings,
    /// What makes vectors of texts.
    pub(crate) embedding: Embedding,
    /// Memory that searching may take, bytes; a share of what the process may use when absent.
    pub(crate) search_bytes_max: Option<u64>,
    /// What ranks the best of a search again.
    pub(crate) rerank: Option<RerankService>,
    /// What is done with a text that a project has already, for whoever does not say.
    pub(crate) same_text: SameText,
    /// Rules for whoever asks for a retention plan without naming any.
    pub(crate) retention: Retention,
    /// Hosts that requests to `/mcp` may name, beside those of this machine and of the engine's Service.
    pub(crate) allowed_hosts: Vec<String>,
    /// Project of the tools of the MCP server `memory`; without one they are not served.
    pub(crate) server_memory: Option<String>,
    /// What one address may do.
    pub(crate) limits: Limits,
}

/// Retention as it is configured. Nothing happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) max_age_days: Option<u32>,
    pub(crate) max_entries_per_project: Option<u64>,
    /// Share of a project's memories that a run removes without being told the number.
    pub(crate) spike_guard_percent: u8,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            max_age_days: None,
            max_entries_per_project: None,
            spike_guard_percent: SPIKE_GUARD_PERCENT_DEFAULT,
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Config {
    fn default() -> Config {
        Config {
            engine: String::new(),
            log_level: tracing::Level::INFO,
            drain: Duration::from_secs(20),
            rotation: Rotation::default(),
            verify_interval: DAY,
            policy: policy::Settings::default(),
            embedding: Embedding::default(),
            search_bytes_max: None,
            rerank: None,
            same_text: SameText::default(),
            retention: Retention::default(),
            allowed_hosts: Vec::new(),
            server_memory: None,
            limits: Limits::default(),
        }
    }
}

/// Everything that is wrong with the file, at once.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration {path:?} is not YAML: {source}")]
    Yaml { path: PathBuf, source: serde_yaml::Error },
    #[error("the configuration {path:?} is not valid:{}", list(.faults))]
    Faults { path: PathBuf, faults: Vec<String> },
}

fn list(faults: &[String]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        let _infallible = write!(text, "\n  - {fault}");
        text
    })
}

/// Reads the file.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let value =
        serde_yaml::from_str(&text).map_err(|source| ConfigError::Yaml { path: path.to_owned(), source })?;
    read(&value).map_err(|faults| ConfigError::Faults { path: path.to_owned(), faults })
}

const SECTIONS: [&str; 13] = [
    "engine",
    "log",
    "shutdown",
    "rotation",
    "integrity",
    "policy",
    "embedding",
    "retrieval",
    "rerank",
    "retention",
    "saving",
    "mcp",
    "limits",
];

fn read(value: &Value) -> Result<Config, Vec<String>> {
    let mut config = Config::default();
    let mut faults = Vec::new();
    let root = section(value, "the file", &SECTIONS, &mut faults);
    let part = |name: &str, keys: &[&str], faults: &mut Vec<String>| {
        section(root.get(name).unwrap_or(&Value::Null), name, keys, faults)
    };
    let engine = part("engine", &["namespace", "name"], &mut faults);
    let names: Vec<&str> =
        ["namespace", "name"].iter().filter_map(|key| text(&engine, "engine", key, &mut faults)).collect();
    config.engine = names.join("/");
    let log = part("log", &["level"], &mut faults);
    if let Some(level) = text(&log, "log", "level", &mut faults) {
        match ["error", "warn", "info", "debug", "trace"].contains(&level).then(|| level.parse()) {
            Some(Ok(level)) => config.log_level = level,
            _ => faults.push("log.level must be error, warn, info, debug or trace".into()),
        }
    }
    let shutdown = part("shutdown", &["drainSeconds"], &mut faults);
    if let Some(seconds) = whole(&shutdown, "shutdown", "drainSeconds", 1..=300, &mut faults) {
        config.drain = Duration::from_secs(seconds);
    }
    let rotation = part("rotation", &["maxSegmentBytes", "maxSegmentAgeSeconds"], &mut faults);
    if let Some(bytes) = whole(&rotation, "rotation", "maxSegmentBytes", 1 << 20..=1 << 30, &mut faults) {
        config.rotation.segment_bytes_max = bytes;
    }
    let age = 60..=31_536_000;
    if let Some(seconds) = whole(&rotation, "rotation", "maxSegmentAgeSeconds", age, &mut faults) {
        config.rotation.segment_age_max = Duration::from_secs(seconds);
    }
    let integrity = part("integrity", &["verifyIntervalSeconds"], &mut faults);
    let interval = 60..=2_592_000;
    if let Some(seconds) = whole(&integrity, "integrity", "verifyIntervalSeconds", interval, &mut faults) {
        config.verify_interval = Duration::from_secs(seconds);
    }
    if let Some(value) = root.get("policy").filter(|value| !value.is_null()) {
        match serde_yaml::from_value::<policy::Settings>(value.clone()) {
            Ok(settings) => config.policy = settings,
            Err(fault) => faults.push(format!("policy cannot be read: {fault}")),
        }
        if let Err(found) = Policy::new(&config.policy) {
            faults.extend(found.iter().map(|fault| format!("policy.{fault}")));
        }
    }
    let value = |name: &str| root.get(name).unwrap_or(&Value::Null);
    config.embedding = providers::embedding(value("embedding"), &mut faults);
    let retrieval = part("retrieval", &["maxMemoryBytes"], &mut faults);
    config.search_bytes_max = whole(&retrieval, "retrieval", "maxMemoryBytes", SEARCH_BYTES, &mut faults);
    config.rerank = providers::rerank(value("rerank"), &mut faults);
    let retention =
        part("retention", &["maxAgeDays", "maxEntriesPerProject", "spikeGuardPercent"], &mut faults);
    config.retention = read_retention(&retention, &mut faults);
    let saving = part("saving", &["sameText"], &mut faults);
    if let Some(word) = text(&saving, "saving", "sameText", &mut faults) {
        match word {
            "Say" => config.same_text = SameText::Say,
            "SaveOnce" => config.same_text = SameText::SaveOnce,
            _ => faults.push("saving.sameText must be Say or SaveOnce".into()),
        }
    }
    let mcp = part("mcp", &["allowedHosts", "serverMemoryTools", "serverMemoryProject"], &mut faults);
    config.allowed_hosts = hosts(&mcp, &mut faults);
    config.server_memory = server_memory(&mcp, &mut faults);
    let known = ["requestsPerSecond", "burst", "connectionsPerAddress", "keepAliveSeconds"];
    let limits = part("limits", &known, &mut faults);
    config.limits = limits::read(&limits, &mut faults);
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// Memory that somebody may give to searching, bytes.
const SEARCH_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

fn read_retention(section: &Mapping, faults: &mut Vec<String>) -> Retention {
    let mut number = |key, max| whole(section, "retention", key, 1..=max, faults);
    let defaults = Retention::default();
    Retention {
        max_age_days: number("maxAgeDays", RETENTION_AGE_DAYS_MAX.into())
            .and_then(|days| days.try_into().ok()),
        max_entries_per_project: number("maxEntriesPerProject", RETENTION_ENTRIES_MAX),
        spike_guard_percent: number("spikeGuardPercent", 100)
            .and_then(|percent| percent.try_into().ok())
            .unwrap_or(defaults.spike_guard_percent),
    }
}

/// Most hosts somebody may list: each request is compared with all of them.
const ALLOWED_HOSTS_MAX: usize = 64;

fn hosts(section: &Mapping, faults: &mut Vec<String>) -> Vec<String> {
    let Some(value) = section.get("allowedHosts") else { return Vec::new() };
    let list = value.as_sequence().filter(|list| list.len() <= ALLOWED_HOSTS_MAX);
    let read = |value: &Value| {
        let text = value.as_str()?;
        let authority: axum::http::uri::Authority = text.parse().ok()?;
        // What is left of a URL, of a user's name or of a pattern matches nothing anybody sends.
        let plain = !text.contains(['@', '*', '/']) && !authority.host().is_empty();
        plain.then(|| text.to_owned())
    };
    list.and_then(|list| list.iter().map(read).collect()).unwrap_or_else(|| {
        faults.push(format!(
            "mcp.allowedHosts must be a list of at most {ALLOWED_HOSTS_MAX} names such as memory.example.org, with a port or without"
        ));
        Vec::new()
    })
}

/// The project, when the tools are asked for. One without them is a mistake somebody should learn of.
fn server_memory(section: &Mapping, faults: &mut Vec<String>) -> Option<String> {
    let switch = section.get("serverMemoryTools");
    if switch.is_some_and(|value| value.as_bool().is_none()) {
        faults.push("mcp.serverMemoryTools must be true or false".into());
    }
    let served = switch.and_then(Value::as_bool).unwrap_or(false);
    let project = text(section, "mcp", "serverMemoryProject", faults);
    match project.map(|project| request::filter("mcp.serverMemoryProject", project)) {
        Some(Err(fault)) => faults.push(fault.to_string()),
        Some(Ok(())) if !served => {
            faults.push("mcp.serverMemoryProject needs mcp.serverMemoryTools: true".into());
        }
        _ => {}
    }
    served.then(|| project.unwrap_or(PROJECT_DEFAULT).to_owned())
}

fn section(value: &Value, name: &str, keys: &[&str], faults: &mut Vec<String>) -> Mapping {
    let Value::Mapping(mapping) = value else {
        if !value.is_null() {
            faults.push(format!("{name} must be a mapping"));
        }
        return Mapping::new();
    };
    for key in mapping.keys() {
        let known = key.as_str().is_some_and(|key| keys.contains(&key));
        if !known {
            let key = key.as_str().unwrap_or("(not a string)");
            faults.push(format!("{name} has an unknown key {key:?}; known are {}", keys.join(", ")));
        }
    }
    mapping.clone()
}

fn text<'a>(section: &'a Mapping, name: &str, key: &str, faults: &mut Vec<String>) -> Option<&'a str> {
    let value = section.get(key)?;
    if value.as_str().is_none() {
        faults.push(format!("{name}.{key} must be a string"));
    }
    value.as_str()
}

fn whole(
    section: &Mapping,
    name: &str,
    key: &str,
    allowed: RangeInclusive<u64>,
    faults: &mut Vec<String>,
) -> Option<u64> {
    let value = section.get(key)?;
    let found = value.as_u64().filter(|number| allowed.contains(number));
    if found.is_none() {
        let (min, max) = (allowed.start(), allowed.end());
        faults.push(format!("{name}.{key} must be a whole number from {min} to {max}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        read(&serde_yaml::from_str(text).unwrap())
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
    fn every_section_is_on_the_page() {
        let page = include_str!("../../docs/guide/configuration.md");
        for section in SECTIONS {
            let begins = [format!("| `{section}`"), format!("| `{section}.")];
            assert!(begins.iter().any(|row| page.contains(row.as_str())), "{section} is missing");
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
        let same_text = |text: &str| parse(&format!("saving: {{{text}}}")).map(|config| config.same_text);
        assert_eq!(same_text("sameText: Say"), Ok(SameText::Say));
        assert_eq!(same_text("sameText: SaveOnce"), Ok(SameText::SaveOnce));
        assert_eq!(same_text(""), Ok(SameText::Say));
        for text in ["sameText: Never", "sameText: true", "once: true"] {
            assert_eq!(same_text(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn retention_has_defaults_and_bounds() {
        let config = parse("retention: {maxAgeDays: 90, spikeGuardPercent: 100}").unwrap();
        let expected =
            Retention { max_age_days: Some(90), max_entries_per_project: None, spike_guard_percent: 100 };
        assert_eq!(config.retention, expected);
        for text in ["maxAgeDays: 0", "maxEntriesPerProject: 0", "spikeGuardPercent: 101", "schedule: daily"]
        {
            assert_eq!(parse(&format!("retention: {{{text}}}")).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn bounds_on_one_address_are_numbers_within_bounds() {
        let limits = parse("limits: {requestsPerSecond: 50, connectionsPerAddress: 512}").unwrap().limits;
        let rate = limits.rate.unwrap();
        assert_eq!((rate.per_second.get(), rate.burst.get(), limits.connections_per_address), (50, 50, 512));
        let limits = parse("limits: {requestsPerSecond: 50, burst: 200}").unwrap().limits;
        assert_eq!(limits.rate.unwrap().burst.get(), 200);
        assert_eq!(parse("limits: {}").unwrap().limits, Limits::default());
        let limits = parse("limits: {keepAliveSeconds: 620}").unwrap().limits;
        assert_eq!(limits.rest, Duration::from_secs(620));
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
