//! The sites where an engine accesses its disk. Tracing the engine finds them, so no list has to be maintained.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// System calls on a file that are not failed: their failure does not matter, or a disk never causes it. They include
/// `fcntl`: SQLite's locks are held by this machine's kernel, and a lock that could not be released would stay forever.
const HARMLESS: [&str; 7] = ["mmap", "munmap", "close", "execve", "fadvise64", "ioctl", "fcntl"];

/// A system call on a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    pub(super) call: String,
    /// Path below the data directory; empty for the directory itself.
    pub(super) path: PathBuf,
}

impl Site {
    /// Returns true for a segment file of the log. Nothing can become durable unless segments can be written.
    pub(super) fn is_segment(&self) -> bool {
        self.path.starts_with("log") && self.path.extension().is_some_and(|ending| ending == "jsonl")
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.call,
            if self.path.as_os_str().is_empty() { "." } else { self.path.to_str().unwrap_or("?") }
        )
    }
}

/// Number of calls at each site, in the thread that makes the most of them, because strace counts per thread. A step
/// that a new thread retries therefore fails again, until the tracer is gone.
pub(super) type Sites = BTreeMap<Site, u64>;

// With -D, strace is not the parent of the engine, so strace can be killed while the engine runs on.

/// Command line that makes strace write every call on files to `trace`.
pub(super) fn watching(trace: &Path) -> Vec<String> {
    let trace = trace.display().to_string();
    [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-y",
        "-s",
        "0",
        "-e",
        "trace=%file,%desc",
        "-e",
        "signal=none",
        "-o",
        &trace,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Command line that makes strace fail calls at `site` with `error`. `when` selects the calls, in the syntax of strace.
pub(super) fn failing(site: &Site, data: &Path, error: &str, when: &str) -> Vec<String> {
    let path = match site.path.as_os_str().is_empty() {
        true => data.to_owned(),
        false => data.join(&site.path),
    };
    let (path, call) = (path.display().to_string(), &site.call);
    let words = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", &path];
    let mut words = words.map(str::to_owned).to_vec();
    words.extend(["-e".into(), format!("trace={call}"), "-e".into(), "signal=none".into()]);
    words.extend(["-e".into(), format!("inject={call}:error={error}:when={when}")]);
    words
}

/// Parses the output of strace.
pub(super) fn read(trace: &Path, data: &Path) -> Result<Sites> {
    let text = fs::read(trace).with_context(|| format!("reading {}", trace.display()))?;
    Ok(found(&String::from_utf8_lossy(&text), &data.display().to_string()))
}

fn found(trace: &str, data: &str) -> Sites {
    let mut counts: BTreeMap<(&str, Site), u64> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, call, arguments)) = cut(line) else { continue };
        let mut paths = paths(arguments, data);
        paths.dedup();
        for path in paths {
            *counts.entry((thread, Site { call: call.to_owned(), path })).or_default() += 1;
        }
    }
    let mut sites = Sites::new();
    for ((_, site), count) in counts {
        let most = sites.entry(site).or_default();
        *most = count.max(*most);
    }
    sites
}

/// Splits a line such as `12 read(3</a>, ...) = 0` into thread, call and arguments.
fn cut(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, arguments) = rest.trim_start().split_once('(')?;
    let is_name = call.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (is_name && !HARMLESS.contains(&call)).then_some((thread, call, arguments))
}

/// Returns all paths at or below the data directory in the arguments of a call, where a path is an argument itself or
/// the target of a descriptor.
fn paths(arguments: &str, data: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (open, close) in [('"', '"'), ('<', '>')] {
        let mut rest = arguments;
        while let Some(at) = rest.find(&format!("{open}{data}")) {
            let named = &rest[at + 1 + data.len()..];
            let Some(end) = named.find(close) else { break };
            if named[..end].is_empty() || named.starts_with('/') {
                found.push(PathBuf::from(named[..end].trim_start_matches('/')));
            }
            rest = &named[end..];
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read() {
        let trace = "\
7 openat(AT_FDCWD, \"/d/log/lock\", O_RDWR) = 4</d/log/lock>
7 pwrite64(4</d/log/a.jsonl>, \"\"..., 12, 0) = 12
8 pwrite64(4</d/log/a.jsonl>, \"\"..., 12, 0 <unfinished ...>
8 <... pwrite64 resumed>) = 12
8 pwrite64(4</d/log/a.jsonl>, \"\"..., 12, 0) = 12
7 rename(\"/d/x.tmp\", \"/d/x\") = 0
7 mmap(NULL, 5, PROT_READ, MAP_SHARED, 5</d/shm>, 0) = 0
7 openat(AT_FDCWD, \"/data/other\", O_RDONLY) = 5</data/other>
7 statfs(\"/d\", {f_type=1}) = 0
7 +++ exited with 0 +++
";
        let sites = found(trace, "/d");
        let told: Vec<String> = sites.iter().map(|(site, count)| format!("{site} {count}")).collect();
        let expected =
            ["openat log/lock 1", "pwrite64 log/a.jsonl 2", "rename x 1", "rename x.tmp 1", "statfs . 1"];
        assert_eq!(told, expected);
        assert!(sites.keys().nth(1).unwrap().is_segment());
    }
}
