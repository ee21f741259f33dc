//! The configuration file.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::{Mapping, Value};
use thiserror::Error;

use crate::providers::RerankService;

mod providers;

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
    /// What makes vectors of texts.
    pub(crate) embedding: Embedding,
    /// What ranks the best of a search again.
    pub(crate) rerank: Option<RerankService>,
}

/// When the log goes on in a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Before a segment would have more bytes than this.
    pub(crate) segment_bytes_max: u64,
    /// When a segment with events in it is older than this.
    pub(crate) segment_age_max: Duration,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { segment_bytes_max: 64 << 20, segment_age_max: DAY }
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
            embedding: Embedding::default(),
            rerank: None,
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

const SECTIONS: [&str; 7] = ["engine", "log", "shutdown", "rotation", "integrity", "embedding", "rerank"];

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
    let value = |name: &str| root.get(name).unwrap_or(&Value::Null);
    config.embedding = providers::embedding(value("embedding"), &mut faults);
    config.rerank = providers::rerank(value("rerank"), &mut faults);
    if faults.is_empty() { Ok(config) } else { Err(faults) }
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
