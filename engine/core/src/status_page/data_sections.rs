//! What is stored: the log, the projection, the volume.

use super::facts::StatusFacts;
use super::figures;
use super::html::Html;
use super::rows::{facts, row, text_row};
use super::shown::{self, bytes, count, counted, percent};
use crate::wire::{Anchor, LogHealth, ProjectionHealth, ProjectionState, StorageHealth, StorageReason};

/// Adds the sections of the log, the projection and the volume.
pub(super) fn add(html: &mut Html, shown: &StatusFacts) {
    facts(html, "log", "Log", |html| log(html, shown));
    facts(html, "projection", "Projection", |html| projection(html, shown));
    facts(html, "storage", "Storage", |html| storage(html, &shown.health.storage));
}

fn log(html: &mut Html, shown: &StatusFacts) {
    let LogHealth { id, seq, hash, recovered_torn_bytes, checkpoint, integrity } = &shown.health.log;
    row(html, "Head", |html| {
        html.text(&counted(*seq, "event")).raw(", hash ");
        shown::hash(html, hash);
    });
    row(html, "Newest checkpoint", |html| match checkpoint {
        Some(checkpoint) => tree(html, checkpoint.size, &checkpoint.root),
        None => {
            html.text("none yet");
        }
    });
    row(html, "Anchor", |html| match &integrity.anchor {
        Some(Anchor { size, root, rollbacks, origin: _ }) => {
            tree(html, *size, root);
            html.raw("<br>").text(&counted(seq.saturating_sub(*size), "newer event"));
            if *rollbacks > 0 {
                html.text(&format!(", {} accepted", counted(*rollbacks, "rollback")));
            }
        }
        None => {
            html.text("none was given to this engine");
        }
    });
    row(html, "Verified through", |html| {
        html.text(&format!("event {}", count(integrity.verified_through)));
        if let Some(at) = integrity.verified_at {
            html.raw("<br>last complete verification ");
            shown::time(html, at, shown.now);
        }
    });
    if let Some(fault) = &integrity.fault {
        row(html, "Fault", |html| {
            html.raw("<strong class=\"bad\">").text(&fault.message).raw("</strong>");
        });
    }
    if *recovered_torn_bytes > 0 {
        text_row(
            html,
            "Unfinished write",
            &format!("{} set aside by this start", bytes(*recovered_torn_bytes)),
        );
    }
    row(html, "Id", |html| {
        html.code(id);
    });
}

/// A state of the log: its size, and the root of its tree.
fn tree(html: &mut Html, size: u64, root: &str) {
    html.text(&counted(size, "event")).raw(", root ");
    shown::hash(html, root);
}

fn projection(html: &mut Html, shown: &StatusFacts) {
    let ProjectionHealth { applied_seq, lag, state, digest, checked_at, rebuild } = &shown.health.projection;
    row(html, "State", |html| {
        match state {
            ProjectionState::Ready => html.text("ready"),
            ProjectionState::Rebuilding => {
                html.raw("<strong class=\"bad\">being rebuilt; does not answer yet</strong>")
            }
            ProjectionState::Failed => html.raw("<strong class=\"bad\">failed; does not answer</strong>"),
        };
    });
    text_row(html, "Applied through", &format!("event {}", count(*applied_seq)));
    text_row(html, "Lag", &counted(*lag, "event"));
    row(html, "Rebuild", |html| match rebuild {
        Some(rebuild) => {
            let done = percent(rebuild.applied_seq, rebuild.head_seq);
            let (applied, head) = (count(rebuild.applied_seq), counted(rebuild.head_seq, "event"));
            html.text(&format!("{applied} of {head} ({done} %), because: {}", rebuild.reason));
            figures::bar(html, done, "Rebuilt");
        }
        None => {
            html.text("none in progress");
        }
    });
    row(html, "Last check", |html| match checked_at {
        Some(at) => shown::time(html, *at, shown.now),
        None => {
            html.text("none yet");
        }
    });
    if let Some(digest) = digest {
        row(html, "Digest", |html| shown::hash(html, digest));
    }
}

fn storage(html: &mut Html, storage: &StorageHealth) {
    let StorageHealth { capacity_bytes, available_bytes, writable, reason } = storage;
    let used = capacity_bytes.saturating_sub(*available_bytes);
    let share = percent(used, *capacity_bytes);
    row(html, "Used", |html| {
        html.text(&format!("{} of {} ({share} %)", bytes(used), bytes(*capacity_bytes)));
        figures::bar(html, share, "Used");
    });
    text_row(html, "Available", &bytes(*available_bytes));
    row(html, "Writes", |html| {
        let refused = match reason {
            Some(StorageReason::VolumeFull) => "refused: no space is left",
            Some(StorageReason::IoError) => "refused: a write or sync failed",
            Some(StorageReason::LogCorrupt) => "refused: the log does not verify",
            None if *writable => {
                html.text("possible");
                return;
            }
            None => "refused: the log is being opened",
        };
        html.raw("<strong class=\"bad\">").text(refused).raw("</strong>");
    });
}
