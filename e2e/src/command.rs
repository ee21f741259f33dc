//! Runs programs to completion within a time limit. A failure carries the program's output.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Maximum amount of a failed program's output in an error, in bytes.
const TOLD_BYTES_MAX: usize = 4000;

/// Runs a program and returns its standard output.
///
/// # Errors
/// The program cannot be started, it fails (the message carries the end of its output), or it is still running after
/// `limit`, in which case it is killed.
pub(crate) async fn run(program: &str, args: &[&str], limit: Duration) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args);
    output(command, limit).await
}

/// Like [`run`], for a command with an environment or a working directory.
///
/// # Errors
/// As [`run`].
pub(crate) async fn output(mut command: Command, limit: Duration) -> Result<String> {
    let line = described(&command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let finished = tokio::time::timeout(limit, command.output()).await;
    let output = finished
        .with_context(|| format!("`{line}` was still running after {} s", limit.as_secs()))?
        .with_context(|| format!("`{line}` cannot be started"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{line}`: {}\n{}{}",
            output.status,
            tail(&stdout, TOLD_BYTES_MAX),
            tail(&stderr, TOLD_BYTES_MAX)
        );
    }
    Ok(stdout)
}

/// The command line, for messages.
#[must_use]
pub(crate) fn described(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last `bytes_max` bytes of a text, cut at the start of a line.
#[must_use]
pub(crate) fn tail(text: &str, bytes_max: usize) -> &str {
    let Some(mut cut) = text.len().checked_sub(bytes_max).filter(|cut| *cut > 0) else { return text };
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    let rest = &text[cut..];
    rest.find('\n').map_or(rest, |end| &rest[end + 1..])
}

/// The last `lines_max` lines of a text.
#[must_use]
pub(crate) fn last_lines(text: &str, lines_max: usize) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_starts_at_a_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 8), "three\n");
        assert_eq!(tail("short", 8), "short");
        assert_eq!(tail("ééééé", 3), "é");
    }

    #[test]
    fn last_lines_are_the_last() {
        assert_eq!(last_lines("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(last_lines("a", 5), ["a"]);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_an_error() {
        let error = run("sleep", &["30"], Duration::from_millis(50)).await.unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
    }

    #[tokio::test]
    async fn a_failure_tells_what_was_written() {
        let error = run("sh", &["-c", "echo why >&2; exit 3"], Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
