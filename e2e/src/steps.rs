//! Progress of a command for a person: one line per step, with the time since the start.

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Environment variable that a script sets before it starts this program, as `.ci/demo` does: the time at which the
/// script started, in seconds since 1970. The printed times of script and program then have the same start.
const STARTED: &str = "E2E_STARTED";

/// Prints steps as they happen.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    started: Instant,
    /// Time between the start of the script and the start of this program.
    before: Duration,
}

impl Steps {
    /// Starts the clock. If a script started this program, the time counts from the start of the script.
    #[must_use]
    pub fn start() -> Self {
        let script = env::var(STARTED).unwrap_or_default();
        Self { started: Instant::now(), before: since(&script, SystemTime::now()) }
    }

    /// Prints one line with the time since the start.
    pub fn say(&self, text: &str) {
        println!("[{:>6.1} s] {text}", self.elapsed().as_secs_f64());
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }
}

/// Returns the time from `epoch_s` (in seconds since 1970) to `now`. Zero if `epoch_s` is missing, unreadable or in the
/// future.
fn since(epoch_s: &str, now: SystemTime) -> Duration {
    let started =
        epoch_s.parse().ok().and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    started.and_then(|started| now.duration_since(started).ok()).unwrap_or_default()
}

/// A duration as people say it: `45 s`, `4 min 45 s`, `2 h 3 min`.
#[must_use]
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_script_goes_on() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(since("940", now), Duration::from_secs(60));
        for unusable in ["", "yesterday", "-1", "2000", "18446744073709551615"] {
            assert_eq!(since(unusable, now), Duration::ZERO, "{unusable}");
        }
    }

    #[test]
    fn durations_are_spoken() {
        let check = |seconds, expected: &str| assert_eq!(spoken(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min 0 s");
        check(285, "4 min 45 s");
        check(7380, "2 h 3 min");
    }
}
