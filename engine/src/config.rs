//! The configuration file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::{Mapping, Value};
use thiserror::Error;

/// What the file says, with defaults for what it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `namespace/name` of the engine on its cluster; empty elsewhere. Names it in logs and metrics.
    pub(crate) engine: String,
    pub(crate) log_level: tracing::Level,
    /// How long requests may take to finish once the engine was told to stop.
    pub(crate) drain: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config { engine: String::new(), log_level: tracing::Level::INFO, drain: Duration::from_secs(20) }
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

fn read(value: &Value) -> Result<Config, Vec<String>> {
    let mut config = Config::default();
    let mut faults = Vec::new();
    let root = section(value, "the file", &["engine", "log", "shutdown"], &mut faults);
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
    match shutdown.get("drainSeconds").map(Value::as_u64) {
        None => {}
        Some(Some(seconds @ 1..=300)) => config.drain = Duration::from_secs(seconds),
        Some(_) => faults.push("shutdown.drainSeconds must be a whole number from 1 to 300".into()),
    }
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
