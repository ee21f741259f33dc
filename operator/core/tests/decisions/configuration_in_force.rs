//! `ConfigurationApplied` is true only if the wanted configuration is in force.

use engine_core::digest::Hash;
use engine_core::wire::{ConfigurationFile, ConfigurationHealth};
use operator_core::build::engine_config;
use operator_core::observed::{EngineReport, Observed};

use crate::world::{condition, health, settled, status_of, valid};

fn with_report(configuration: Option<ConfigurationHealth>) -> Observed {
    let mut world = settled();
    let mut report = health(None);
    report.configuration = configuration;
    world.writer_mut().report = EngineReport::Answered(Box::new(report));
    world
}

fn in_force(sha256: &str, file: ConfigurationFile, keys: &[&str]) -> Option<ConfigurationHealth> {
    let restart_required = keys.iter().map(|key| (*key).to_owned()).collect();
    Some(ConfigurationHealth { sha256: Some(sha256.to_owned()), file, restart_required })
}

#[test]
fn only_the_wanted_configuration_counts_as_applied() {
    let wanted = Hash::of(engine_config(&valid(&settled())).as_bytes()).to_string();
    let applied = "True/ConfigurationInEffect";
    // An engine of an earlier version sends no hash.
    assert_eq!(condition(&status_of(&with_report(None)), "ConfigurationApplied"), applied);
    let reported = |configuration| status_of(&with_report(configuration));
    let current = reported(in_force(&wanted, ConfigurationFile::InForce, &[]));
    assert_eq!(condition(&current, "ConfigurationApplied"), applied);
    let other = "0".repeat(64);
    for (file, keys, says) in [
        (ConfigurationFile::InForce, &[][..], "does not have the new content yet"),
        (ConfigurationFile::RestartRequired, &["mcp.allowedHosts"][..], "mcp.allowedHosts. Delete the pod"),
        (ConfigurationFile::Invalid, &[][..], "its file is invalid"),
        (ConfigurationFile::Unreadable, &[][..], "its file cannot be read"),
    ] {
        let status = reported(in_force(&other, file, keys));
        assert_eq!(condition(&status, "ConfigurationApplied"), "False/ConfigurationOutdated");
        assert_eq!(condition(&status, "Ready"), "True/Serving", "it serves with the earlier configuration");
        let found = status.conditions.iter().find(|one| one.type_ == "ConfigurationApplied");
        assert!(found.expect("a condition").message.contains(says), "{found:?}");
    }
}

/// An older operator reads the report of a newer engine.
#[test]
fn words_of_a_newer_engine_are_read() {
    let mut report = serde_json::to_value(health(None)).expect("plain values");
    report["reasons"] = serde_json::json!(["volume_full", "too_much_sun"]);
    report["configuration"] = serde_json::json!({"sha256": "ab", "file": "on_the_moon", "later": 1});
    let read: engine_core::wire::Health = serde_json::from_value(report).expect("a report");
    assert_eq!(read.configuration.expect("a configuration").file, ConfigurationFile::Unknown);
    assert_eq!(read.reasons.len(), 2);
}
