//! The verdict of a Job, where Kubernetes shows it: in the status of the pod.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

/// Maximum size of a termination message, bytes. Kubernetes cuts a longer one off, and half an object is no JSON.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Longest wait before a Job begins, seconds.
const DELAY_SECONDS_MAX: u64 = 300;
/// Longest text and longest list in a message that would be too long.
const TEXT_CHARS_MAX: usize = 256;
const LIST_MAX: usize = 3;

/// What only a Job needs.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// File in which Kubernetes expects the verdict: the JSON object without its longest texts
    #[arg(long, value_name = "FILE")]
    termination_log: Option<PathBuf>,
    /// Seconds before the work begins, so that many Jobs do not begin in the same second
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=DELAY_SECONDS_MAX))]
    delay_seconds: u64,
}

impl JobArgs {
    /// Waits as long as the Job should.
    pub(crate) fn delay(&self) {
        std::thread::sleep(Duration::from_secs(self.delay_seconds));
    }

    /// Writes the verdict where Kubernetes expects it. Whether that works does not change the verdict.
    pub(crate) fn note(&self, verdict: &Value) {
        let Some(path) = &self.termination_log else { return };
        if let Err(fault) = write(path, verdict) {
            tracing::warn!(path = %path.display(), %fault, "the termination message cannot be written");
        }
    }
}

fn write(path: &Path, verdict: &Value) -> std::io::Result<()> {
    std::fs::write(path, message(verdict))
}

/// The verdict as text that Kubernetes does not cut off.
fn message(verdict: &Value) -> String {
    let whole = verdict.to_string();
    if whole.len() <= MESSAGE_BYTES_MAX {
        return whole;
    }
    let mut shorter = verdict.clone();
    shorten(&mut shorter);
    let text = shorter.to_string();
    if text.len() <= MESSAGE_BYTES_MAX { text } else { serde_json::json!({"ok": verdict["ok"]}).to_string() }
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS_MAX => {
            *text = text.chars().take(TEXT_CHARS_MAX - 1).chain(['…']).collect();
        }
        Value::Array(items) => {
            items.truncate(LIST_MAX);
            items.iter_mut().for_each(shorten);
        }
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_json_that_kubernetes_does_not_cut_off() {
        let small = json!({"ok": true, "events": 7});
        assert_eq!(message(&small), small.to_string());
        let object = |n: usize| json!({"name": format!("segments/{n:0200}"), "why": "ä".repeat(1_000)});
        let large = json!({"ok": false, "damaged": (0..1_000).map(object).collect::<Vec<_>>()});
        let read: Value = serde_json::from_str(&message(&large)).unwrap();
        assert_eq!((read["ok"].clone(), read["damaged"].as_array().unwrap().len()), (json!(false), 3));
        assert!(message(&large).len() <= MESSAGE_BYTES_MAX);
        let wide: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("key{n}"), json!("x"))).collect();
        assert_eq!(message(&wide.into()), "{\"ok\":null}");
    }
}
