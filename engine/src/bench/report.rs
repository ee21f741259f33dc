//! The figures as a table, as JSON, as a page and as a chart.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::row::{MICROSECONDS, Row};

/// Everything one run measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    measured_at: Timestamp,
    cores: usize,
    file_system: String,
    /// Events of the large log.
    events: u64,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(directory: &Path, events: u64, rows: Vec<Row>) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION"),
            measured_at: Timestamp::now().round(jiff::Unit::Second).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            file_system: file_system(directory),
            events,
            rows,
        }
    }

    /// For a terminal and for a page: a table in Markdown is both.
    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| work | figure | p50 | p99 | limit in the same run | ratio | goal |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let limit = row.limit.as_ref();
            let _infallible = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.work,
                quantity(row.value, row.unit),
                row.p50_us.map(time).unwrap_or_default(),
                row.p99_us.map(time).unwrap_or_default(),
                limit
                    .map(|limit| format!("{}: {}", limit.name, limit_value(limit.value, row.unit)))
                    .unwrap_or_default(),
                limit.map(|limit| format!("{:.2}", limit.ratio)).unwrap_or_default(),
                goal(row),
            );
        }
        table
    }

    /// docs/PERFORMANCE.md.
    pub(super) fn markdown(&self) -> String {
        format!(
            "# Performance\n\nMade by `cargo run -p memory-engine --release -- bench --report docs/PERFORMANCE.md`; do not edit. \
             Version {}, measured {} on {} cores, {}; the large log has {} events. Memories have 300 bytes of text.\n\n\
             Each figure stands beside what the machine could do at most, measured in the same run and in turns. The ratio \
             is the claim; an absolute figure only says how busy this machine was.\n\n![Each figure as a share of its limit](PERFORMANCE.svg)\n\n{}\n{}",
            self.version,
            self.measured_at,
            self.cores,
            self.file_system,
            self.events,
            self.table(),
            NOTES,
        )
    }

    /// A bar for each rate that has a limit, the limit as a line.
    pub(super) fn chart(&self) -> String {
        let bars: Vec<(&str, f64)> = self
            .rows
            .iter()
            // Of times less is better: they stand in the table alone.
            .filter(|row| row.unit.ends_with("/s"))
            .filter_map(|row| Some((row.work.as_str(), row.limit.as_ref()?.ratio)))
            .collect();
        let most = bars.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::max);
        let (left, width, step) = (330.0, 420.0, 26.0);
        let height = bars.len() as f64 * step + 40.0;
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" font-family="sans-serif" font-size="13"><rect width="800" height="{height}" fill="#fff"/>"##
        );
        for (place, (work, ratio)) in bars.iter().enumerate() {
            let y = place as f64 * step + 10.0;
            let long = ratio / most * width;
            let _infallible = write!(
                svg,
                r##"<text x="{}" y="{}" text-anchor="end">{work}</text><rect x="{left}" y="{y}" width="{long:.1}" height="18" fill="#4878a8"/><text x="{:.1}" y="{}">{ratio:.2}</text>"##,
                left - 8.0,
                y + 14.0,
                left + long + 6.0,
                y + 14.0,
            );
        }
        let line = left + width / most;
        let _infallible = write!(
            svg,
            r##"<line x1="{line:.1}" y1="4" x2="{line:.1}" y2="{}" stroke="#b03030" stroke-dasharray="4 3"/><text x="{line:.1}" y="{}" text-anchor="middle" fill="#b03030">the limit of this machine</text></svg>"##,
            height - 22.0,
            height - 6.0,
        );
        svg + "\n"
    }
}

const NOTES: &str = "\
What the limits are: *groups of as many* appends as many records of 320 bytes as there are events under way, at most 100, and calls `fdatasync`, without hashing, JSON,
HTTP or a projection; clients and engine share the cores. *SHA-256* hashes 300 bytes again and again on one core; *the four hashes of an event* are those of its envelope, its payload, its leaf and
a node of the tree, 800 bytes in all. *Rows with FTS5*
inserts the same columns from memory in transactions of 4,096 rows. *FTS5 alone* asks the engine's own index from another process for the same two words, ranked by
`bm25`, and takes 20 numbers; the engine also counts the matches, makes 20 hits with snippets and sends them. *f32 scan* and *i8 scan* compare one vector of 256 numbers with as many as there are memories, on one core,
and keep the best 20; the engine also makes the vector, ranks 250 candidates and sends 20 hits.

Questions have two to six words drawn as the words of the memories are, every tenth has words that no memory has. Each is asked once in a run, by one client, so that none is answered from
the answers that were kept; reading by id is measured with what was kept, because that is what it is for. Vectors alone are searched by setting the weights `{static: 1}`: lanes that count for nothing put nobody forward.
";

fn goal(row: &Row) -> String {
    match (&row.goal, row.met) {
        (Some(goal), Some(true)) => format!("{goal} ✓"),
        (Some(goal), _) => format!("{goal} ✗"),
        (None, _) => String::new(),
    }
}

fn quantity(value: f64, unit: &str) -> String {
    if unit == MICROSECONDS { time(value) } else { format!("{} {unit}", number(value)) }
}

/// The unit is that of the figure.
fn limit_value(value: f64, unit: &str) -> String {
    if unit == MICROSECONDS { time(value) } else { number(value) }
}

/// Three digits are more than a noisy machine tells.
fn number(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

fn time(us: f64) -> String {
    if us < 1_000.0 { format!("{us:.0} µs") } else { format!("{:.2} ms", us / 1_000.0) }
}

/// Kind of the file system a path is on, as the kernel calls it.
fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found = ("", "unknown file system");
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(point), Some(kind)) = (fields.next(), fields.next())
            && path.starts_with(point)
            && point.len() >= found.0.len()
        {
            found = (point, kind);
        }
    }
    found.1.to_owned()
}
