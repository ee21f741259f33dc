//! What an engine answers, checked before anything is decided from it. An engine may be broken, or something else may
//! answer in its place. One text that is longer than the CRD allows would make the API server refuse the complete
//! status, and a text with control characters would garble the terminal of whoever reads it.
//!
//! Identifiers that are not valid make the answer unusable: a shortened identifier would be another one. Texts for
//! people are shortened.

use engine_core::guard::{HOLD_BY_CHARS_MAX, HOLD_REASON_CHARS_MAX};
use engine_core::wire::{
    ArchiveHealth, BackupTaken, CheckpointAnswer, CheckpointView, Health, HoldView, IntegrityHealth,
    ModeHealth, PortCertificate, RestoredLog, SUMMARY_SPIKES_MAX, StartUpkeep, TicketHealth, TlsHealth,
    UpkeepResult, UpkeepRun,
};

/// Longest identifiers, characters: the bounds of the CRD.
const LOG_ID_CHARS_MAX: usize = 64;
const HASH_CHARS_MAX: usize = 64;
const ORIGIN_CHARS_MAX: usize = 128;
const KEY_CHARS_MAX: usize = 256;
const BACKUP_CHARS_MAX: usize = 128;
/// Longest texts, characters: the bounds of the CRD.
const VERSION_CHARS_MAX: usize = 64;
const REBUILD_REASON_CHARS_MAX: usize = 256;
/// Longest description of a fault, characters. It leaves room for the remedy in the message of a condition.
const FAULT_CHARS_MAX: usize = 1024;
/// Longest name of a part of the configuration, characters, and largest number of names: together they fit into the
/// message of a condition.
const NAME_CHARS_MAX: usize = 80;
const NAMES_MAX: usize = 24;

/// An answer that cannot be used. It does not quote the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} in the answer is not a valid identifier")]
pub struct Unusable {
    field: &'static str,
}

/// Returns `text` without control characters, with at most `max` characters.
#[must_use]
pub fn quoted(text: &str, max: usize) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    if text.chars().count() <= max {
        return text.chars().map(plain).collect();
    }
    text.chars().map(plain).take(max.saturating_sub(1)).chain(['…']).collect()
}

fn shorten(text: &mut String, max: usize) {
    *text = quoted(text, max);
}

fn identifier(field: &'static str, text: &str, max: usize) -> Result<(), Unusable> {
    let valid = text.len() <= max && text.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(()) } else { Err(Unusable { field }) }
}

/// Checks the report of an engine.
///
/// # Errors
/// An identifier is not valid.
pub fn health(mut health: Health) -> Result<Health, Unusable> {
    identifier("log.id", &health.log.id, LOG_ID_CHARS_MAX)?;
    identifier("log.hash", &health.log.hash, HASH_CHARS_MAX)?;
    if let Some(view) = &health.log.checkpoint {
        view_is_valid(view)?;
    }
    shorten(&mut health.version, VERSION_CHARS_MAX);
    if let Some(rebuild) = &mut health.projection.rebuild {
        shorten(&mut rebuild.reason, REBUILD_REASON_CHARS_MAX);
    }
    health.not_applied.truncate(NAMES_MAX);
    for part in &mut health.not_applied {
        shorten(&mut part.key, NAME_CHARS_MAX);
    }
    if let Some(configuration) = &mut health.configuration {
        configuration.restart_required.truncate(NAMES_MAX);
        for key in &mut configuration.restart_required {
            shorten(key, NAME_CHARS_MAX);
        }
    }
    health.log.integrity = integrity(health.log.integrity)?;
    health.mode = health.mode.map(mode);
    if let Some(TlsHealth { api, admin }) = &mut health.tls {
        for port in [api, admin].into_iter().flatten() {
            certificate(port)?;
        }
    }
    health.ticket = health.ticket.map(ticket).transpose()?;
    health.archive = health.archive.map(archive).transpose()?;
    health.restored = health.restored.map(restored).transpose()?;
    health.issuers.truncate(NAMES_MAX);
    for issuer in &mut health.issuers {
        shorten(&mut issuer.issuer, FAULT_CHARS_MAX);
        if let Some(fault) = &mut issuer.fault {
            shorten(fault, FAULT_CHARS_MAX);
        }
    }
    Ok(health)
}

/// Checks what an engine says of its ticket.
///
/// # Errors
/// An identifier is not valid.
pub fn ticket(mut ticket: TicketHealth) -> Result<TicketHealth, Unusable> {
    identifier("ticket.challenge", &ticket.challenge, HASH_CHARS_MAX)?;
    ticket.checks.truncate(NAMES_MAX);
    for check in &mut ticket.checks {
        shorten(check, NAME_CHARS_MAX);
    }
    Ok(ticket)
}

/// Checks the report of a backup.
///
/// # Errors
/// An identifier is not valid.
pub fn backup(taken: BackupTaken) -> Result<BackupTaken, Unusable> {
    identifier("backup.name", &taken.name, BACKUP_CHARS_MAX)?;
    identifier("backup.log_id", &taken.log_id, LOG_ID_CHARS_MAX)?;
    if taken.root.len() != HASH_CHARS_MAX {
        return Err(Unusable { field: "backup.root" });
    }
    identifier("backup.root", &taken.root, HASH_CHARS_MAX)?;
    identifier("backup.request", taken.request.as_deref().unwrap_or_default(), LOG_ID_CHARS_MAX)?;
    Ok(taken)
}

/// Checks the report of a run that was asked for.
///
/// # Errors
/// An identifier is not valid, or it is the report of another run.
pub fn upkeep(mut run: UpkeepRun, wanted: &StartUpkeep) -> Result<UpkeepRun, Unusable> {
    if (run.task, &run.request) != (wanted.task, &wanted.request) {
        return Err(Unusable { field: "request" });
    }
    if let Some(error) = &mut run.error {
        shorten(error, FAULT_CHARS_MAX);
    }
    match &mut run.result {
        Some(UpkeepResult::Planned(plan)) => {
            hash("plan_hash", &plan.plan_hash)?;
            plan.spikes.truncate(SUMMARY_SPIKES_MAX);
        }
        Some(UpkeepResult::Applied { plan_hash, .. }) => {
            hash("plan_hash", plan_hash)?;
            if wanted.plan.as_ref().is_none_or(|plan| plan.plan_hash != *plan_hash) {
                return Err(Unusable { field: "plan_hash" });
            }
        }
        Some(UpkeepResult::Rotated { .. } | UpkeepResult::Verified { .. }) | None => {}
    }
    Ok(run)
}

fn hash(field: &'static str, text: &str) -> Result<(), Unusable> {
    let is_hash = text.len() == HASH_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(()) } else { Err(Unusable { field }) }
}

fn archive(mut archive: ArchiveHealth) -> Result<ArchiveHealth, Unusable> {
    if let Some(error) = &mut archive.error {
        shorten(error, FAULT_CHARS_MAX);
    }
    archive.last_backup = archive.last_backup.map(backup).transpose()?;
    Ok(archive)
}

fn restored(restored: RestoredLog) -> Result<RestoredLog, Unusable> {
    identifier("restored.backup", &restored.backup, BACKUP_CHARS_MAX)?;
    identifier("restored.root", &restored.root, HASH_CHARS_MAX)?;
    Ok(restored)
}

fn certificate(port: &mut PortCertificate) -> Result<(), Unusable> {
    identifier("tls.serial", &port.serial, HASH_CHARS_MAX)?;
    identifier("tls.sha256", &port.sha256, HASH_CHARS_MAX)?;
    identifier(
        "tls.authorities_sha256",
        port.authorities_sha256.as_deref().unwrap_or_default(),
        HASH_CHARS_MAX,
    )?;
    if let Some(fault) = &mut port.fault {
        shorten(fault, FAULT_CHARS_MAX);
    }
    Ok(())
}

/// Checks the integrity of a log as an engine reports it.
///
/// # Errors
/// An identifier is not valid.
pub fn integrity(mut integrity: IntegrityHealth) -> Result<IntegrityHealth, Unusable> {
    if let Some(anchor) = &integrity.anchor {
        identifier("anchor.origin", &anchor.origin, ORIGIN_CHARS_MAX)?;
        identifier("anchor.root", &anchor.root, HASH_CHARS_MAX)?;
    }
    if let Some(fault) = &mut integrity.fault {
        shorten(&mut fault.message, FAULT_CHARS_MAX);
    }
    Ok(integrity)
}

/// Checks an engine's mode.
#[must_use]
pub fn mode(mut mode: ModeHealth) -> ModeHealth {
    for hold in [&mut mode.direct, &mut mode.declared].into_iter().flatten() {
        // A valid hold is never shortened.
        let HoldView { reason, by, .. } = hold;
        shorten(reason, HOLD_REASON_CHARS_MAX);
        shorten(by, HOLD_BY_CHARS_MAX);
    }
    mode
}

/// Checks the form of a checkpoint. Its signature and its proof are verified when it is judged.
///
/// # Errors
/// An identifier is not valid.
pub fn checkpoint(answer: CheckpointAnswer) -> Result<CheckpointAnswer, Unusable> {
    view_is_valid(&answer.checkpoint)?;
    Ok(answer)
}

fn view_is_valid(view: &CheckpointView) -> Result<(), Unusable> {
    identifier("checkpoint.origin", &view.origin, ORIGIN_CHARS_MAX)?;
    identifier("checkpoint.root", &view.root, HASH_CHARS_MAX)?;
    identifier("checkpoint.key", &view.key, KEY_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_quoted_is_bounded_and_plain() {
        assert_eq!(quoted("fine – ünï", 10), "fine – ünï");
        assert_eq!(quoted("a\u{1b}[31mb\r\nc\0", 64), "a [31mb  c ");
        assert_eq!(quoted("abcdef", 5), "abcd…");
        assert_eq!(quoted("abcdef", 0), "…");
        assert_eq!(quoted(&"ü".repeat(100_000), 200).chars().count(), 200);
    }

    /// Whoever answers in the place of the engine must not make the operator take another plan for the approved one.
    #[test]
    fn a_run_is_that_of_the_request() {
        let hash = "ab".repeat(32);
        let wanted: StartUpkeep = serde_json::from_value(json!({
            "task": "apply_retention", "request": "r", "plan": {
                "plan_hash": hash, "as_of": "2026-01-01T00:00:00Z", "applied_seq": 1, "reason": "a", "by": "b",
            },
        }))
        .unwrap();
        let run = |change: &dyn Fn(&mut Value)| {
            let mut run = json!({
                "task": "apply_retention", "request": "r", "state": "done", "started": "2026-01-01T00:00:00Z",
                "error": "a\u{1b}[31mb".repeat(1_000),
                "result": {"applied": {"plan_hash": hash, "memories": 1, "seq": 2}},
            });
            change(&mut run);
            upkeep(serde_json::from_value(run).unwrap(), &wanted)
        };
        let good = run(&|_| {}).unwrap();
        let error = good.error.unwrap();
        assert!(error.chars().count() <= FAULT_CHARS_MAX && !error.chars().any(char::is_control));
        let lies: [fn(&mut Value); 4] = [
            |run| run["request"] = json!("s"),
            |run| run["task"] = json!("scrub"),
            |run| run["result"]["applied"]["plan_hash"] = json!("cd".repeat(32)),
            |run| run["result"]["applied"]["plan_hash"] = json!("\u{1b}"),
        ];
        for lie in lies {
            assert!(run(&lie).is_err());
        }
    }

    #[test]
    fn an_identifier_is_short_and_visible() {
        for good in ["", "log-1", &"a".repeat(64)] {
            assert_eq!(identifier("log.id", good, 64), Ok(()), "{good}");
        }
        for bad in ["a b", "a\n", "ä", &"a".repeat(65)] {
            assert!(identifier("log.id", bad, 64).is_err(), "{bad}");
        }
    }
}
