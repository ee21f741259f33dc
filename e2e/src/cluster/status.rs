//! Describes the state of a cluster, with the last log lines of unhealthy components.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use jiff::Timestamp;

use super::down;
use super::layout::Layout;
use super::report::{ComponentReport, ComponentState, Launch, Phase, Report};
use crate::command::last_lines;
use crate::steps::spoken;

const LINES_SHOWN: usize = 12;
/// Number of bytes read from the end of a log: enough for the lines shown. A log may be large.
const TAIL_BYTES: u64 = 16 * 1024;

/// Returns a readable text, and whether everything is healthy.
pub(super) fn describe(layout: &Layout) -> (String, bool) {
    let (Some(launch), false) = (Launch::read(layout), down::processes(layout).is_empty()) else {
        return (not_running(layout), false);
    };
    let Some(report) = Report::read(layout) else {
        return (format!("cluster {} is starting\n{}", layout.name, log_tail(layout, "node")), false);
    };
    let now = Timestamp::now();
    let well = report.phase == Phase::Ready && report.unwell().is_empty();
    let state = match &report.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Ready if well => "well".to_owned(),
        Phase::Ready => "unwell".to_owned(),
        Phase::Failed(reason) => format!("did not start: {reason}"),
    };
    let mut text = format!("cluster {}: {state}, since {}\n", layout.name, age(launch.at, now));
    let _ =
        writeln!(text, "API server: https://127.0.0.1:{} ({})", launch.port, layout.kubeconfig().display());
    let _ = writeln!(text, "logs: {}", layout.at("log").display());
    for component in &report.components {
        let _ = writeln!(text, "  {}", line(component, now));
    }
    if !well {
        text.push_str(&unwell_text(layout));
    }
    (text, well)
}

fn not_running(layout: &Layout) -> String {
    if !layout.launch().exists() {
        return format!("cluster {} is not up: `cargo run -p e2e -- cluster up`\n", layout.name);
    }
    let end = log_tail(layout, "supervisor");
    format!(
        "cluster {}: the supervisor was ended, and the node with it; `cluster up` starts a new one\n{end}",
        layout.name
    )
}

fn line(component: &ComponentReport, now: Timestamp) -> String {
    let state = match &component.state {
        ComponentState::Waiting => "waiting".to_owned(),
        ComponentState::Started { pid } => format!("started, not ready (pid {pid} inside)"),
        ComponentState::Ready { pid } => format!("ready (pid {pid} inside)"),
        ComponentState::Ended { status } => format!("ENDED, {status}"),
    };
    let ends = match component.history.len() {
        0 => String::new(),
        count => format!(", ends so far: {count}"),
    };
    format!("{:<24} {state}, for {}{ends}", component.name, age(component.since, now))
}

fn age(since: Timestamp, now: Timestamp) -> String {
    spoken(now.duration_since(since).try_into().unwrap_or_default())
}

/// Returns the names of the unhealthy components, each with the end of its log.
pub(super) fn unwell_text(layout: &Layout) -> String {
    let Some(report) = Report::read(layout) else { return log_tail(layout, "node") };
    let started = |component: &&&ComponentReport| component.state != ComponentState::Waiting;
    let unwell = report.unwell();
    unwell.iter().filter(started).map(|component| log_tail(layout, &component.name)).collect()
}

/// Returns the end of a component's log, with a heading.
pub(super) fn log_tail(layout: &Layout, component: &str) -> String {
    let path = layout.component_log(component);
    let text = read_tail(&path).unwrap_or_else(|error| format!("cannot be read: {error}"));
    let lines = last_lines(&text, LINES_SHOWN);
    format!("--- {component}: end of {}\n{}\n", path.display(), lines.join("\n"))
}

fn read_tail(path: &std::path::Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_component_stands_out() {
        let component = ComponentReport {
            name: "kubelet".into(),
            state: ComponentState::Ended { status: "signal: 9 (SIGKILL)".into() },
            since: Timestamp::UNIX_EPOCH,
            history: vec!["x".into()],
        };
        let now = Timestamp::from_second(61).unwrap();
        let expected = "kubelet                  ENDED, signal: 9 (SIGKILL), for 1 min 1 s, ends so far: 1";
        assert_eq!(line(&component, now), expected);
    }

    #[test]
    fn a_cluster_that_is_not_up_says_how_to_start_it() {
        let (text, well) = describe(&Layout::named("never-started").unwrap());
        assert!(!well && text.contains("cluster up"), "{text}");
    }
}
