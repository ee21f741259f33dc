//! The mode: what is in effect, what is wanted, and why they differ.

use jiff::Timestamp;

use super::facts::StatusFacts;
use super::html::Html;
use super::rows::{facts, row, table, text_row, wide};
use super::shown;
use crate::mode::Mode;
use crate::wire::{GuardHealth, HoldView, ModeHealth, Teller};

/// Number of transitions on the page. `/mode` has more of them.
const TRANSITIONS_MAX: usize = 20;

/// Adds the sections of the mode.
pub(super) fn add(html: &mut Html, shown: &StatusFacts) {
    let (mode, now) = (&shown.mode.mode, shown.now);
    facts(html, "mode", "Mode", |html| {
        row(html, "In effect", |html| {
            html.raw("<strong>")
                .code(mode.effective.as_str())
                .raw("</strong> ")
                .text(meaning(mode.effective));
            html.raw("<br>since ");
            shown::time(html, mode.since, now);
        });
        row(html, "Wanted", |html| {
            html.code(mode.wanted.as_str()).raw(" ").text(&told_by(mode.told_by.as_ref()));
        });
        text_row(html, "Why", &why(mode));
        guard(html, &mode.guard, now);
        for (name, hold) in [("Hold at the engine", &mode.direct), ("Hold in the resource", &mode.declared)] {
            row(html, name, |html| match hold {
                Some(hold) => held(html, hold, now),
                None => {
                    html.text("none");
                }
            });
        }
        let failures = shown.mode.consecutive_failures.iter();
        let failures: Vec<String> =
            failures.map(|(dependency, failures)| format!("{}: {failures}", dependency.as_str())).collect();
        let failures = if failures.is_empty() { "no calls yet".to_owned() } else { failures.join(", ") };
        text_row(html, "Failures in a row", &failures);
    });
    wide(html, "transitions", "Transitions", |html| transitions(html, shown));
}

fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "reads and writes are refused",
        Mode::WriteOnly => "reads are refused, writes are accepted",
        Mode::ReadWrite => "reads are answered, writes are accepted",
        Mode::ReadOnly => "reads are answered, writes are refused",
    }
}

fn told_by(teller: Option<&Teller>) -> String {
    match teller {
        Some(Teller { uid, generation }) => format!("by generation {generation} of the resource {uid}"),
        None => "by the engine's start; no resource has said anything yet".to_owned(),
    }
}

/// Why the mode in effect is what it is.
fn why(mode: &ModeHealth) -> String {
    let narrows = |allowed: Mode| mode.wanted.intersect(allowed) != mode.wanted;
    let guard = matches!(mode.guard.state.as_str(), "forced" | "probing") && narrows(Mode::WriteOnly);
    let reasons = [
        (
            mode.unsaved,
            "the volume does not accept the mode, which a restart would lose; writing it is tried again",
        ),
        (mode.unreadable, "mode/mode.json cannot be read, so that reads are off until somebody sets a mode"),
        (guard, "the guard has turned reads off"),
        (mode.direct.as_ref().is_some_and(|hold| narrows(hold.mode)), "a hold at the engine allows less"),
        (mode.declared.as_ref().is_some_and(|hold| narrows(hold.mode)), "a hold in the resource allows less"),
    ];
    let found: Vec<&str> =
        reasons.iter().filter(|(applies, _)| *applies).map(|(_, reason)| *reason).collect();
    if found.is_empty() { "it is what is wanted".to_owned() } else { found.join("; ") }
}

fn guard(html: &mut Html, guard: &GuardHealth, now: Timestamp) {
    row(html, "Guard", |html| {
        let meaning = match guard.state.as_str() {
            "base" => "reads are allowed",
            "suspected" => "reads are allowed, and a dependency that is suspected is being probed",
            "forced" => "reads are off, and probes begin later",
            "probing" => "reads are off, and probes are running",
            _ => "",
        };
        html.code(&guard.state).raw(" ").text(meaning).raw("<br>since ");
        shown::time(html, guard.since, now);
        if let Some(until) = guard.until {
            html.raw("<br>acts next ");
            shown::time(html, until, now);
        }
        if let Some(cause) = &guard.cause {
            html.raw("<br>cause: ").text(&cause.to_string());
        }
    });
}

fn held(html: &mut Html, hold: &HoldView, now: Timestamp) {
    html.raw("at most ").code(hold.mode.as_str()).raw("<br>by ").said(&hold.by).raw("<br>because ");
    html.said(&hold.reason).raw("<br>since ");
    shown::time(html, hold.since, now);
    html.raw("<br>until ");
    shown::time(html, hold.until, now);
}

fn transitions(html: &mut Html, shown: &StatusFacts) {
    let all = &shown.mode.transitions;
    if all.is_empty() {
        html.raw("<p>None since this process started.</p>");
        return;
    }
    let columns = ["At", "From", "To", "Guard", "Because"];
    table(html, "The last changes of the mode, of the guard or of a hold, newest first", &columns, |html| {
        for change in all.iter().take(TRANSITIONS_MAX) {
            html.raw("<tr><th scope=\"row\">");
            shown::time(html, change.at, shown.now);
            html.raw("</th><td>").code(change.from.as_str()).raw("</td><td>→ ").code(change.to.as_str());
            html.raw("</td><td>")
                .code(&change.state)
                .raw("</td><td>")
                .said(&change.because)
                .raw("</td></tr>\n");
        }
    });
}
