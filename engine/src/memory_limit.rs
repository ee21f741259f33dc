//! Determines how much memory the process may use.

use std::fs;

/// Files with the memory limit of the control group, for cgroup versions 2 and 1.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// File with the machine's total memory.
const MACHINE: &str = "/proc/meminfo";

/// Without a limit, the process shares the machine with other processes. It then uses at most one part in `SHARED_BY`
/// of the machine's memory.
const SHARED_BY: u64 = 4;

/// Returns how many bytes the process may use: the limit of its container, or else a fraction of the machine's memory.
pub(crate) fn allowance() -> u64 {
    let machine = fs::read_to_string(MACHINE).ok().and_then(|text| machine_bytes(&text)).unwrap_or(u64::MAX);
    let group = GROUPS.iter().filter_map(|path| fs::read_to_string(path).ok());
    let limits: Vec<u64> = group.filter_map(|text| limit_bytes(&text)).collect();
    allowed(&limits, machine)
}

fn allowed(limits: &[u64], machine: u64) -> u64 {
    let smallest = limits.iter().copied().filter(|limit| *limit < machine).min();
    smallest.unwrap_or(machine / SHARED_BY)
}

/// Parses a limit in bytes; `None` for `max`, which means no limit.
fn limit_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn machine_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_where_there_is_one() {
        let machine = machine_bytes("MemTotal:       24683152 kB\nMemFree: 1 kB\n").unwrap();
        assert_eq!(machine, 24_683_152 * 1024);
        assert_eq!(allowed(&[512 << 20], machine), 512 << 20);
        // How each cgroup version writes that there is no limit.
        assert_eq!(limit_bytes("max\n"), None);
        assert_eq!(allowed(&[limit_bytes("9223372036854771712\n").unwrap()], machine), machine / 4);
        assert_eq!(allowed(&[], machine), machine / 4);
        assert!(allowance() > 1 << 20);
    }
}
