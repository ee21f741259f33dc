//! Measures the cost of the policy. Ignored by default, because the result depends on the machine:
//! `cargo test --release -p engine-core --lib policy -- --ignored --nocapture speed`.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use super::*;

const NOTE: &str = "Rolled back the api deployment to v1.2.3 after p99 rose to 850 ms at 14:05; the cause was a missing index on events(project, seq). \
    Runbook: check node-7 first, then look at the connection pool (max 64). Ticket OPS-1234, commit 3f786850e387. The fix is in \
    engine/src/projection and ships with the next release.";

fn best_us(runs: usize, mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..runs).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "measures the machine"]
fn speed() {
    let start = Instant::now();
    let policy = default();
    println!("made in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let judge = |text: &str| drop(black_box(policy.judge_text("content", black_box(text), NOW)));
    println!("clean note of {} bytes: {:.1} µs", NOTE.len(), best_us(5000, || judge(NOTE)));
    let personal = format!("{NOTE} Call me at 415-555-0132 or write to ana@example.org.");
    println!("note with two finds: {:.1} µs", best_us(5000, || judge(&personal)));
    let accents = NOTE.replace('e', "é");
    println!("clean note with accents: {:.1} µs", best_us(5000, || judge(&accents)));
    let numbers: String = (0..1_u64 << 12)
        .map(|i| format!("{} ", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000_000))
        .collect();
    let repeated = |part: &str| part.repeat((1 << 20) / part.len());
    for (what, text) in [
        ("clean notes", repeated(NOTE)),
        ("notes with finds", repeated(&personal)),
        ("numbers", repeated(&numbers)),
        ("digits", "1".repeat(1 << 20)),
        ("digits and spaces", repeated("1 ")),
        ("letters", "a".repeat(1 << 20)),
        ("capitals", repeated("Ab ")),
        ("capitals and numbers", repeated("Ab 12 ")),
        ("brackets", repeated("((((")),
        ("words of secrets", repeated("password token key: ")),
        ("at signs", repeated("a@")),
        ("dots and colons", repeated("1:.:")),
    ] {
        println!("1 MiB of {what}: {:.1} ms", best_us(3, || judge(&text)) / 1e3);
    }
}
