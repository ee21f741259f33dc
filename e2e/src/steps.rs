//! What a person sees while something runs: one line per step, with the time since the start.

use std::time::{Duration, Instant};

/// Prints steps as they happen.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    started: Instant,
}

impl Steps {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Prints one line with the time since the start.
    pub fn say(&self, text: &str) {
        println!("[{:>6.1} s] {text}", self.elapsed().as_secs_f64());
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
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
    fn durations_are_spoken() {
        let check = |seconds, expected: &str| assert_eq!(spoken(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min 0 s");
        check(285, "4 min 45 s");
        check(7380, "2 h 3 min");
    }
}
