//! Prints what the policy finds in texts, for measurements. Reads one JSON string per line from standard input, and
//! prints one JSON list of `[start, end, kind, detector]` per line; `start` and `end` are in characters.
//!
//! `cargo run --release -p engine-core --example policy_spans [-- KIND…]`: the given kinds replace the default kinds;
//! `all` stands for every kind.
#![expect(clippy::disallowed_methods, reason = "a program for measurements reads its arguments")]

use std::io::{self, BufRead, Write};

use engine_core::policy::{Finds, Kind, Policy, Settings};
use jiff::Timestamp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kinds: Vec<String> = std::env::args().skip(1).collect();
    let redact = match kinds.as_slice() {
        [] => None,
        [all] if all == "all" => Some(Kind::ALL.iter().map(|kind| kind.name()).collect()),
        _ => Some(kinds),
    };
    let policy =
        Policy::new(&Settings { redact, ..Settings::default() }).map_err(|faults| format!("{faults:?}"))?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let characters = |end: usize| text[..end].chars().count();
        let rows = policy.findings(&text, Timestamp::UNIX_EPOCH).into_iter().map(|finding| {
            let kind = match finding.finds {
                Finds::Secret => "secret".to_owned(),
                Finds::Personal(kind) => kind.name(),
            };
            (characters(finding.range.start), characters(finding.range.end), kind, finding.detector)
        });
        serde_json::to_writer(&mut out, &rows.collect::<Vec<_>>())?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
