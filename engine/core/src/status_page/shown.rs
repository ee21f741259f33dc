//! How numbers, sizes, durations and times are shown.

use jiff::{SignedDuration, Timestamp};

use super::html::Html;

/// Number of digits of a hash that are shown. `/health` has all of them.
const HASH_DIGITS: usize = 12;

/// A number with separators.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number of things: "1 event", "2 events".
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} B");
    };
    // Tenths, rounded down: a size is never shown larger than it is.
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A share of a whole, percent, at most 100.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}

/// A short duration.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        long if long >= 1.0 => format!("{long:.2} s"),
        medium if medium >= 0.001 => format!("{:.2} ms", medium * 1e3),
        short => format!("{:.0} µs", short * 1e6),
    }
}

/// A long duration, in its two largest units.
pub(super) fn long(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// The beginning of a hash.
pub(super) fn hash(html: &mut Html, hash: &str) {
    match hash.char_indices().nth(HASH_DIGITS) {
        Some((end, _)) => html.code(&format!("{}…", &hash[..end])),
        None => html.code(hash),
    };
}

/// A time, and how far away it is.
pub(super) fn time(html: &mut Html, at: Timestamp, now: Timestamp) {
    let away = at.duration_since(now);
    let away = match away.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", long(away)),
        _ => format!("{} ago", long(away)),
    };
    html.raw("<time datetime=\"").text(&at.to_string()).raw("\">");
    html.text(&at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).raw("</time> <small>(");
    html.text(&away).raw(")</small>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_their_units() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "event"), counted(2_000, "event")], ["1 event", "2,000 events"]);
        let sizes = [0, 1_023, 1_024, 1_100 << 10, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "17179869183.9 GiB"]);
        assert_eq!(
            [percent(1, 3), percent(0, 0), percent(9, 3), percent(u64::MAX, u64::MAX)],
            [33, 0, 100, 100]
        );
        assert_eq!([0.000_012, 0.001_5, 2.0].map(seconds), ["12 µs", "1.50 ms", "2.00 s"]);
        let spans = [5, 65, 3_700, 90_000].map(|seconds| long(SignedDuration::from_secs(seconds)));
        assert_eq!(spans, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn a_hash_is_shortened_and_a_time_says_how_far_away_it_is() {
        let mut html = Html::default();
        hash(&mut html, &"ab".repeat(32));
        hash(&mut html, "é");
        let now: Timestamp = "2026-11-29T20:00:00Z".parse().unwrap();
        time(&mut html, now + SignedDuration::from_secs(90), now);
        time(&mut html, now - SignedDuration::from_secs(90), now);
        assert_eq!(
            html.finish(),
            "<code>abababababab…</code><code>é</code>\
             <time datetime=\"2026-11-29T20:01:30Z\">2026-11-29 20:01:30 UTC</time> <small>(in 1 min 30 s)</small>\
             <time datetime=\"2026-11-29T19:58:30Z\">2026-11-29 19:58:30 UTC</time> <small>(1 min 30 s ago)</small>"
        );
    }
}
