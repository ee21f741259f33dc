//! A canary: the revision whose answers are compared with those of this engine, and what was counted.

use serde::{Deserialize, Serialize};

use crate::rollout::counts::Tally;
use crate::rollout::pairing::SPACING_MS;
use crate::rollout::questions::{AGE_S, NUMBER};

/// Path of the admin port that takes grants and gives reports.
pub const CANARY_PATH: &str = "/canary";
/// Header of a request that an engine sends to a canary, with one of the two words below. Such a request is never
/// compared, and never sent to another canary.
pub const CANARY_HEADER: &str = "memory-canary";
/// The request repeats a question to compare the answers. Nothing is answered from a cache, so that both revisions do
/// the same work.
pub const CANARY_COMPARES: &str = "compare";
/// The answer goes to a client.
pub const CANARY_ANSWERS: &str = "answer";
/// Header of an answer that came from a canary, with its revision.
pub const REVISION_HEADER: &str = "memory-engine-revision";
/// Header of an answer to a comparison: how long it was waited for the event of `min_seq`, microseconds.
pub const WAITED_HEADER: &str = "memory-waited-us";
/// Header of an answer to a comparison: how long the answer took after that, microseconds.
pub const ANSWERED_HEADER: &str = "memory-answered-us";

/// Time between two pairs, milliseconds: shortest and longest.
const PAIR_INTERVAL_MS: [u32; 2] = [50, 60_000];
/// Longest revision and UID, bytes.
pub const CANARY_NAME_BYTES_MAX: usize = 253;
/// Longest URL, bytes.
pub const CANARY_URL_BYTES_MAX: usize = 512;

/// What is done with a canary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryReads {
    /// Nothing: only its readiness is looked at.
    #[default]
    Off,
    /// It is asked what clients ask, after they were answered.
    Shadow,
    /// It answers a share of the sessions.
    Canary,
}

/// Body of `PUT /canary` on the admin port. It holds for a minute, and is sent again before that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryGrant {
    /// The revision of the canary. Another one begins with new counters.
    pub revision: String,
    /// UID of the canary's pod; empty if it has none. Another one begins with new counters.
    pub pod: String,
    /// URL of the canary's API.
    pub api: String,
    /// URL of the canary's readiness probe.
    pub readyz: String,
    /// What is done with the canary.
    pub reads: CanaryReads,
    /// Share of the sessions that the canary answers, percent; only with `canary`.
    pub weight: u8,
    /// Whether an earlier process of this pod may have counted pairs: then only questions after the present end of the
    /// log count. Heeded when counters begin.
    pub floor: bool,
    /// Shortest time between two pairs, milliseconds, 50 to 60,000. 1,000 if it is absent.
    #[serde(default = "usual_interval")]
    pub pair_interval_ms: u32,
    /// The recorded questions of clients that both are asked again while `reads` is `shadow`; none if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<CanaryRehearsal>,
}

/// Which recorded questions are asked again, each about what was known at its own moment. An engine without a record
/// asks none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRehearsal {
    /// Age up to which they are asked, seconds, 60 to 2,678,400.
    pub since_seconds: u32,
    /// How many at most, the newest, 1 to 10,000.
    pub questions: u32,
}

/// Answer of `GET /canary` and `PUT /canary`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryReport {
    /// The revision of the canary; `null` without a grant.
    pub revision: Option<String>,
    /// What is done with it now; `off` if the grant has ended.
    pub reads: CanaryReads,
    /// Share of the sessions that it answers now, percent.
    pub weight: u8,
    /// Whether it is ready; `null` before the first look.
    pub ready: Option<bool>,
    /// Why it cannot be asked; `null` if it can.
    pub fault: Option<String>,
    /// Why no questions of the engine's own are asked; `null` if they are.
    pub probes_fault: Option<String>,
    /// Whether it answers nobody because it failed too often in a row.
    pub breaker_open: bool,
    /// What was counted since the counters began. Its names are those of the status of a rollout.
    pub tally: Tally,
    /// Usual times of the newest pairs.
    pub latency: CanaryLatency,
    /// How far the rehearsal is; `null` if none has begun.
    #[serde(default)]
    pub rehearsal: Option<RehearsalReport>,
}

/// How far a rehearsal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    /// Questions that are asked again.
    pub questions: u64,
    /// Those of them that are done.
    pub asked: u64,
}

/// Usual times of both revisions, milliseconds; `null` before the first pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryLatency {
    /// Of half of the answers of this engine.
    pub stable_p50_ms: Option<u64>,
    /// Of 95 in 100 answers of this engine.
    pub stable_p95_ms: Option<u64>,
    /// Of half of the answers of the canary.
    pub canary_p50_ms: Option<u64>,
    /// Of 95 in 100 answers of the canary.
    pub canary_p95_ms: Option<u64>,
}

fn usual_interval() -> u32 {
    u32::try_from(SPACING_MS).unwrap_or(u32::MAX)
}

impl CanaryGrant {
    /// What is wrong with it; `None` if nothing is. URLs are checked where they are used.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let long = |text: &str, max: usize| text.len() > max;
        if self.revision.is_empty() || long(&self.revision, CANARY_NAME_BYTES_MAX) || !is_name(&self.revision)
        {
            return Some(format!("revision must be 1 to {CANARY_NAME_BYTES_MAX} printable characters"));
        }
        if long(&self.pod, CANARY_NAME_BYTES_MAX) || !is_name(&self.pod) {
            return Some(format!("pod must be at most {CANARY_NAME_BYTES_MAX} printable characters"));
        }
        if long(&self.api, CANARY_URL_BYTES_MAX) || long(&self.readyz, CANARY_URL_BYTES_MAX) {
            return Some(format!("a URL has more than {CANARY_URL_BYTES_MAX} bytes"));
        }
        if self.weight > 100 {
            return Some("weight must be 0 to 100".to_owned());
        }
        let [least, most] = PAIR_INTERVAL_MS;
        let is_good = (least..=most).contains(&self.pair_interval_ms);
        if !is_good {
            return Some(format!("pair_interval_ms must be {least} to {most}"));
        }
        self.rehearsal.and_then(|rehearsal| rehearsal.fault())
    }
}

impl CanaryRehearsal {
    fn fault(self) -> Option<String> {
        let bounds = [("since_seconds", self.since_seconds, AGE_S), ("questions", self.questions, NUMBER)];
        let bad = bounds.into_iter().find(|(_, number, [least, most])| !(least..=most).contains(&number));
        bad.map(|(name, _, [least, most])| format!("rehearsal.{name} must be {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_bounds() {
        let good = CanaryGrant {
            revision: "one".into(),
            pod: String::new(),
            api: "http://canary:8080".into(),
            readyz: "http://canary:8082/readyz".into(),
            reads: CanaryReads::Canary,
            weight: 100,
            floor: false,
            pair_interval_ms: 50,
            rehearsal: Some(CanaryRehearsal { since_seconds: 60, questions: 1 }),
        };
        assert_eq!(good.fault(), None);
        let changes: [fn(&mut CanaryGrant); 9] = [
            |grant| grant.revision = String::new(),
            |grant| grant.revision = "a\nb".into(),
            |grant| grant.pod = "p".repeat(CANARY_NAME_BYTES_MAX + 1),
            |grant| grant.api = "u".repeat(CANARY_URL_BYTES_MAX + 1),
            |grant| grant.readyz = "u".repeat(CANARY_URL_BYTES_MAX + 1),
            |grant| grant.weight = 101,
            |grant| grant.pair_interval_ms = 49,
            |grant| grant.rehearsal = Some(CanaryRehearsal { since_seconds: 59, questions: 1 }),
            |grant| grant.rehearsal = Some(CanaryRehearsal { since_seconds: 60, questions: 10_001 }),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad.fault().is_some(), "{number}");
        }
    }

    #[test]
    fn the_json_of_both() {
        let text = r#"{"revision":"a","pod":"","api":"http://c:1","readyz":"http://c:2/readyz","reads":"shadow",
            "weight":0,"floor":true}"#;
        let grant: CanaryGrant = serde_json::from_str(text).unwrap();
        assert_eq!((grant.reads, grant.floor), (CanaryReads::Shadow, true));
        assert_eq!((grant.pair_interval_ms, grant.rehearsal), (1_000, None));
        let more = text.replace("true}", "true,\"more\":1}");
        assert!(serde_json::from_str::<CanaryGrant>(&more).is_err(), "an unknown field");
        let report = serde_json::to_value(CanaryReport::default()).unwrap();
        assert_eq!(report["revision"], serde_json::Value::Null);
        assert_eq!((&report["reads"], &report["weight"]), (&"off".into(), &0.into()));
    }
}
