//! Measures the speed of verification and of its hashing alone. Ignored by default because results depend on the
//! machine: `cargo test --release -p engine-core --test format -- --ignored --nocapture speed`.

use std::hint::black_box;
use std::time::Instant;

use engine_core::digest::Hash;
use engine_core::recovery::{Follows, ScanStart, scan_segment, survey};
use sha2::{Digest, Sha256};

use crate::log::{Log, lines};

/// Number of events: so few that a run often completes within one scheduler time slice, even on a shared machine.
const EVENTS: usize = 500;
const RUNS: usize = 500;

fn best_ns(mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e9 / EVENTS as f64
    };
    (0..RUNS).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

fn check(what: &str, payload: &str) {
    let batch: Vec<&[&str]> = vec![std::slice::from_ref(&payload); 100];
    let log = (0..EVENTS / 100).fold(Log::new(), |log, _| log.group(&batch));
    let line_bytes = log.bytes.len() / EVENTS;
    let scan = best_ns(|| {
        let begin = ScanStart::AtHeader(Follows::Start);
        black_box(
            scan_segment(log.bytes.as_slice(), begin, true, |found| {
                black_box(found.len);
            })
            .unwrap(),
        );
    });
    let audit = best_ns(|| drop(black_box(survey(log.bytes.as_slice(), |_| {}).unwrap())));
    let whole: Vec<&[u8]> = lines(&log.bytes);
    let line = best_ns(|| {
        whole[1..].iter().for_each(|line| {
            black_box(Hash::of(line));
        });
    });
    // Hashes that the format requires: envelope, salt and payload, leaf, node.
    let parts = best_ns(|| {
        for line in &whole[1..] {
            let envelope = line.len() - payload.len() - 150;
            black_box(Sha256::digest(&line[..envelope]));
            black_box(Sha256::digest(&line[envelope..envelope + 16 + payload.len()]));
            black_box(Sha256::digest(&line[..33]));
            black_box(Sha256::digest(&line[..65]));
        }
    });
    let of_payload = vec![b'x'; 300];
    let three_hundred = best_ns(|| {
        (0..EVENTS).for_each(|_| {
            black_box(Hash::of(black_box(&of_payload)));
        });
    });
    println!(
        "{what}: lines of {line_bytes} B; scan {scan:.0} ns, audit with tree {audit:.0} ns; SHA-256 of the line {line:.0} ns, of \
         what has to be hashed {parts:.0} ns, of 300 B {three_hundred:.0} ns; audit on two cores is {:.2} x SHA-256 of the lines on one",
        2.0 * line / audit
    );
}

#[test]
#[ignore = "measures the machine"]
fn speed_of_checking() {
    check(
        "ASCII, 300 B",
        &format!("{{\"content\":\"{}\",\"type\":\"note\"}}", "words of a memory ".repeat(15)),
    );
    check("cyrillic, 300 B", &format!("{{\"content\":\"{}\",\"type\":\"note\"}}", "слово ".repeat(24)));
    check(
        "fields, 300 B",
        &format!("{{\"list\":[{}0]}}", "{\"a\":1,\"b\":\"two\",\"c\":[true,null]},".repeat(8)),
    );
}
