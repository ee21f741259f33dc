//! Models of other rules, made from their documentation. None of their programs was run. They see the answers of the
//! canary to its share of the reads, and those of the stable revision to the others.

/// Reads in the window of an hourly check, at one a minute.
const WINDOW: usize = 60;
/// Share of errors above which a window counts as failed.
const THRESHOLD: f64 = 0.01;
/// Failed checks that end a rollout, where no value counts as one.
const NO_VALUE_LIMIT: u32 = 5;
/// The test looks for the first time when the canary has answered so often.
const Z_READS_MIN: f64 = 20.0;
/// Level 5 %, one-sided.
const Z_LIMIT: f64 = 1.645;

/// A read, and which revision answered it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) by_canary: bool,
    pub(crate) canary_failed: bool,
    pub(crate) stable_failed: bool,
}

impl Read {
    fn failed_canary(self) -> bool {
        self.by_canary && self.canary_failed
    }
}

/// A rule: the number of the read after which it rolls back.
pub(crate) type Peer = fn(&[Read]) -> Option<usize>;

pub(crate) const PEERS: [(&str, Peer); 4] = [
    ("threshold in each hour, no failed check allowed", |reads| hourly(reads, 0)),
    ("threshold in each hour, three failed checks allowed", |reads| hourly(reads, 3)),
    ("check in each minute, no value is a failed one, five end it", no_value),
    ("z test at 5 %, looked at in each hour", peeked_z),
];

fn share(count: usize, of: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let share = |count: usize| count as f64;
    share(count) / share(of.max(1))
}

/// The share of errors in each hour is compared with a threshold. An hour without reads is not measured.
fn hourly(reads: &[Read], allowed: u32) -> Option<usize> {
    let mut failed = 0;
    for (hour, window) in reads.chunks(WINDOW).enumerate() {
        let seen = window.iter().filter(|read| read.by_canary).count();
        let errors = window.iter().filter(|read| read.failed_canary()).count();
        failed += u32::from(share(errors, seen) > THRESHOLD);
        if failed > allowed {
            return Some((hour + 1) * WINDOW);
        }
    }
    None
}

/// Every minute is a check, and one without a read of the canary has failed.
fn no_value(reads: &[Read]) -> Option<usize> {
    let mut failed = 0;
    for (minute, read) in reads.iter().enumerate() {
        failed += u32::from(!read.by_canary || read.canary_failed);
        if failed >= NO_VALUE_LIMIT {
            return Some(minute + 1);
        }
    }
    None
}

/// Two shares of errors are compared by a test that holds for one look.
fn peeked_z(reads: &[Read]) -> Option<usize> {
    let (mut canary, mut canary_errors, mut stable, mut stable_errors) = (0.0, 0.0, 0.0, 0.0);
    for (at, read) in reads.iter().enumerate() {
        if read.by_canary {
            canary += 1.0;
            canary_errors += f64::from(u8::from(read.canary_failed));
        } else {
            stable += 1.0;
            stable_errors += f64::from(u8::from(read.stable_failed));
        }
        if (at + 1) % WINDOW == 0 && canary >= Z_READS_MIN && stable > 0.0 {
            let pooled: f64 = (canary_errors + stable_errors) / (canary + stable);
            let deviation = (pooled * (1.0 - pooled) * (1.0 / canary + 1.0 / stable)).max(1e-12).sqrt();
            if (canary_errors / canary - stable_errors / stable) / deviation > Z_LIMIT {
                return Some(at + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(count: usize, by_canary: impl Fn(usize) -> bool, failed: impl Fn(usize) -> bool) -> Vec<Read> {
        let read = |n| Read { by_canary: by_canary(n), canary_failed: failed(n), stable_failed: false };
        (0..count).map(read).collect()
    }

    #[test]
    fn each_rule_lets_a_perfect_canary_with_every_read_pass() {
        let perfect = reads(600, |_| true, |_| false);
        for (name, peer) in PEERS {
            assert_eq!(peer(&perfect), None, "{name}");
        }
    }

    #[test]
    fn each_rule_notices_a_canary_that_always_fails() {
        let broken = reads(600, |n| n % 2 == 0, |_| true);
        let found: Vec<_> = PEERS.iter().map(|(_, peer)| peer(&broken)).collect();
        assert_eq!(found, [Some(60), Some(240), Some(5), Some(60)]);
    }

    #[test]
    fn no_value_counts_as_a_failed_check_only_where_it_should() {
        let idle = reads(600, |_| false, |_| false);
        let found: Vec<_> = PEERS.iter().map(|(_, peer)| peer(&idle)).collect();
        assert_eq!(found, [None, None, Some(5), None]);
    }
}
