//! Whole pages, without an engine.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{CONTENT_SECURITY_POLICY, SCRIPT, StatusFacts};
use crate::guard::{Cause, Dependency, Reason};
use crate::mode::Mode;
use crate::wire::{
    CacheReport, DegradedReason, Durations, EngineStatus, GuardHealth, Health, HoldView, IntegrityHealth,
    LogHealth, MetricsReport, ModeHealth, ModeReport, ModelHealth, ModelRole, ModelState, ProjectionHealth,
    ProjectionState, RebuildHealth, StorageHealth, SystemReport, Transition,
};

/// What a client could send to get out of the text.
const HOSTILE: &str = "</td><script>alert(\"1\")</script><img src=x onerror='alert(2)'>&\u{202e}";

fn now() -> Timestamp {
    "2026-11-29T20:00:00Z".parse().unwrap()
}

/// An engine that has just started and has nothing.
fn empty() -> StatusFacts {
    let mode = ModeHealth {
        wanted: Mode::ReadWrite,
        told_by: None,
        effective: Mode::ReadWrite,
        since: now(),
        unreadable: false,
        unsaved: false,
        guard: GuardHealth { state: "base".to_owned(), since: now(), until: None, cause: None },
        direct: None,
        declared: None,
    };
    StatusFacts {
        health: Health {
            version: "1.2.3".to_owned(),
            status: EngineStatus::Ok,
            reasons: Vec::new(),
            log: LogHealth {
                id: "01".to_owned(),
                seq: 0,
                hash: "ab".repeat(32),
                recovered_torn_bytes: 0,
                checkpoint: None,
                integrity: IntegrityHealth::default(),
            },
            projection: ProjectionHealth {
                applied_seq: 0,
                lag: 0,
                state: ProjectionState::Ready,
                digest: None,
                checked_at: None,
                rebuild: None,
            },
            storage: StorageHealth { capacity_bytes: 0, available_bytes: 0, writable: true, reason: None },
            started_at: now() - SignedDuration::from_secs(3_661),
            mode: Some(mode.clone()),
            not_applied: Vec::new(),
            configuration: None,
            tls: None,
            issuers: Vec::new(),
            ticket: None,
            archive: None,
            restored: None,
        },
        mode: ModeReport { mode, consecutive_failures: BTreeMap::new(), transitions: Vec::new() },
        metrics: MetricsReport {
            window_seconds: 300,
            operations: BTreeMap::new(),
            stages: BTreeMap::new(),
            caches: BTreeMap::new(),
            system: SystemReport::default(),
            models: Vec::new(),
        },
        operation_means: BTreeMap::new(),
        stage_means: BTreeMap::new(),
        now: now(),
    }
}

/// The page without its markup: what a terminal browser shows.
fn text(page: &str) -> String {
    let body = page.split("</style>").nth(1).unwrap();
    let parts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_says(page: &str, wanted: &[&str]) {
    let text = text(page);
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} is not in: {text}");
    }
}

/// The page without its script, which is in it once.
fn status_page(facts: &StatusFacts) -> String {
    let page = super::status_page(facts);
    let script = format!("<script>{SCRIPT}</script>");
    assert_eq!(page.matches(&script).count(), 1);
    page.replace(&script, "")
}

/// Elements are closed in the order in which they were opened.
#[track_caller]
fn assert_balanced(page: &str) {
    const VOID: [&str; 5] = ["meta", "link", "br", "rect", "path"];
    let body = page.split_once("<html").unwrap().1.split_once("<style>").unwrap();
    let body = body.1.split_once("</style>").unwrap().1;
    let mut open = vec!["html", "head"];
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        match tag.starts_with('/') {
            true => assert_eq!(open.pop(), Some(name), "{tag}"),
            false if VOID.contains(&name) => {}
            false => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn an_empty_engine_has_a_page() {
    let page = status_page(&empty());
    assert_balanced(&page);
    assert_says(
        &page,
        &[
            "Status: ok . Mode: read_write .",
            "Why it is what is wanted",
            "Transitions None since this process started.",
            "Head 0 events, hash abababababab…",
            "Anchor none was given to this engine",
            "Lag 0 events",
            "Used 0 B of 0 B (0 %)",
            "Operations: none.",
            "All no lookups yet",
            "Version 1.2.3",
            "Up 1 h 1 min",
            "Load the page again for newer figures.",
        ],
    );
    assert!(!page.contains("http-equiv") && !page.contains("src=") && !page.contains("http://"), "{page}");
    for link in ["/health", "/mode", "/metrics", "/metrics/json", "/readyz?verbose"] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}");
    }
}

#[test]
fn a_forced_mode_is_shown_with_its_cause_and_end() {
    let mut facts = empty();
    let until = now() + SignedDuration::from_secs(300);
    facts.health.status = EngineStatus::Degraded;
    facts.health.reasons = vec![DegradedReason::ModeForced];
    facts.mode.mode.effective = Mode::WriteOnly;
    facts.mode.mode.guard = GuardHealth {
        state: "forced".to_owned(),
        since: now(),
        until: Some(until),
        cause: Some(Cause {
            dependency: Dependency::Embedding,
            reason: Reason::AuthenticationFailed,
            outcome: None,
        }),
    };
    facts.mode.transitions = vec![Transition {
        at: now() - SignedDuration::from_secs(61),
        from: Mode::ReadWrite,
        to: Mode::WriteOnly,
        state: "forced".to_owned(),
        because: "embedding: authentication_failed".to_owned(),
    }];
    let page = status_page(&facts);
    assert_balanced(&page);
    assert_says(
        &page,
        &[
            "Status: degraded . Mode: write_only , wanted: read_write .",
            "The guard or a person allows less than is wanted.",
            "In effect write_only reads are refused, writes are accepted",
            "Why the guard has turned reads off",
            "acts next 2026-11-29 20:05:00 UTC (in 5 min 0 s)",
            "cause: embedding: authentication_failed",
            "2026-11-29 19:58:59 UTC (1 min 1 s ago) read_write → write_only forced embedding: authentication_failed",
        ],
    );
    facts.mode.mode.wanted = Mode::WriteOnly;
    assert_says(&status_page(&facts), &["Why it is what is wanted"]);
}

#[test]
fn no_text_of_a_client_becomes_markup() {
    let mut facts = empty();
    let hold = HoldView {
        mode: Mode::Off,
        reason: HOSTILE.to_owned(),
        by: HOSTILE.to_owned(),
        redacted: false,
        since: now(),
        until: now(),
    };
    facts.mode.mode.direct = Some(hold.clone());
    facts.mode.mode.declared = Some(hold);
    facts.mode.mode.guard.state = HOSTILE.to_owned();
    let told_by = crate::wire::Teller { uid: HOSTILE.to_owned(), generation: 1 };
    facts.mode.mode.told_by = Some(told_by);
    facts.mode.transitions = vec![Transition {
        at: now(),
        from: Mode::Off,
        to: Mode::Off,
        state: HOSTILE.to_owned(),
        because: HOSTILE.to_owned(),
    }];
    facts.health.version = HOSTILE.to_owned();
    facts.health.log.id = HOSTILE.to_owned();
    facts.health.log.hash = HOSTILE.to_owned();
    facts.health.projection.rebuild =
        Some(RebuildHealth { applied_seq: 1, head_seq: 4, reason: HOSTILE.to_owned() });
    facts.metrics.models = vec![ModelHealth {
        role: ModelRole::Embedding,
        name: HOSTILE.to_owned(),
        dimension: Some(3),
        state: ModelState::Ready,
        embedded: Some(1),
        total: Some(2),
        service: None,
    }];
    facts.metrics.caches = BTreeMap::from([(HOSTILE.to_owned(), CacheReport::default())]);
    let slow = Durations { samples: 1, p50: 0.1, p95: 0.2, p99: 0.3 };
    facts.metrics.stages = BTreeMap::from([(HOSTILE.to_owned(), slow)]);
    let page = status_page(&facts);
    assert_balanced(&page);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("onerror='"), "{page}");
    let escaped = "&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;";
    assert!(page.matches(escaped).count() >= 11, "{page}");
    assert_says(
        &page,
        &["1 of 4 events (25 %), because:", "a hold at the engine allows less; a hold in the resource"],
    );
}

#[test]
fn durations_have_their_numbers_as_text_and_a_line() {
    let mut facts = empty();
    let durations = Durations { samples: 1_024, p50: 0.001, p95: 0.02, p99: 1.5 };
    facts.metrics.operations = BTreeMap::from([("append".to_owned(), durations)]);
    let means = (0..30).map(|n| (n % 3 > 0).then_some(f64::from(n) / 1e3)).collect();
    facts.operation_means = BTreeMap::from([("append".to_owned(), means)]);
    let page = status_page(&facts);
    assert_balanced(&page);
    assert_says(
        &page,
        &["append 1,024 1.00 ms 20.00 ms 1.50 s", "highest 29.00 ms", "Stages of searches: none."],
    );
    assert!(page.contains("<title>Mean of each 10 seconds: lowest 1.00 ms, highest 29.00 ms, last 29.00 ms"));
}

#[test]
fn only_the_script_of_the_page_may_run() {
    let allowed = CONTENT_SECURITY_POLICY.split("; ").find(|rule| rule.starts_with("script-src")).unwrap();
    // Computed by `openssl dgst -sha256 -binary refresh.js | base64`.
    assert_eq!(allowed, "script-src 'sha256-w7WF54SCaTuEy0WhGb9B4qpBjCZbwANRRuxcL4ROhQI='");
    assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"), "the script ends where the element ends");
}
