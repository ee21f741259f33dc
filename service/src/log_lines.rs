//! The log: one JSON object a line, with the identifiers of the request that the line is about.
//!
//! Every text passes the detectors of the policy before it is written. This is the last guard, not the only one: texts
//! of clients are not passed to the log in the first place.

use std::fmt;
use std::io::{self, Write};

use engine_core::policy::scrubbed;
use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::request_ids::{REQUEST_SPAN, RequestIds};

/// Target of lines that record who changed or removed what. They are logged at every level.
pub const AUDIT: &str = "audit";

/// Target of lines about who was allowed or denied what. They are logged at every level.
pub const ACCESS: &str = "access";

/// Maximum length of one text in a line, bytes. Messages and errors are shorter; a longer text is cut off.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Enables the lines of these crates at a level. Other crates log only errors, because their messages may quote what a
/// client sent.
#[must_use]
pub fn selected(crates: &[&str], level: Level) -> Targets {
    let ours = crates.iter().map(|name| (*name, level));
    Targets::new()
        .with_default(Level::ERROR)
        .with_targets(ours)
        .with_target(REQUEST_SPAN, Level::ERROR)
        .with_target(AUDIT, Level::INFO)
        .with_target(ACCESS, Level::INFO)
}

/// Writes every event as one line of JSON.
#[derive(Debug)]
pub struct LogLines<W> {
    open: fn() -> W,
}

impl<W: Write> LogLines<W> {
    /// `open` returns where a line is written to.
    pub fn new(open: fn() -> W) -> LogLines<W> {
        LogLines { open }
    }
}

impl<W, S> Layer<S> for LogLines<W>
where
    W: Write + 'static,
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(Vec::with_capacity(256));
        line.begin(Timestamp::now(), *metadata.level());
        event.record(&mut line);
        let mut scope = context.event_scope(event).into_iter().flatten();
        if let Some(ids) = scope.find_map(|span| span.extensions().get::<RequestIds>().cloned()) {
            // Both were checked when they were taken.
            line.put("request_id", &ids.request().into());
            line.put("trace_id", &ids.trace().into());
        }
        line.put("target", &metadata.target().into());
        line.0.extend_from_slice(b"}\n");
        // There is nowhere to report that the log cannot be written.
        let _lost = (self.open)().write_all(&line.0);
    }
}

/// A line that is being written.
struct Line(Vec<u8>);

impl Line {
    fn begin(&mut self, now: Timestamp, level: Level) {
        self.0.extend_from_slice(format!(r#"{{"timestamp":"{now:.6}","level":"{level}""#).as_bytes());
    }

    fn put(&mut self, name: &str, value: &Value) {
        self.0.push(b',');
        self.put_json(&name.into());
        self.0.push(b':');
        self.put_json(value);
    }

    fn put_json(&mut self, value: &Value) {
        // Writing a value into memory cannot fail.
        let _infallible = serde_json::to_writer(&mut self.0, value);
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let clean = scrubbed(text);
        self.put(field.name(), &clean[..clean.floor_char_boundary(TEXT_BYTES_MAX)].into());
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}

/// Standard error for lines in another form, which pass the detectors as a whole.
#[derive(Debug, Clone, Copy)]
pub struct ScrubbedStderr;

impl Write for ScrubbedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(scrubbed(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Shared;

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            WRITTEN.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs at a level, as JSON.
    fn logged(level: Level, work: impl FnOnce()) -> Vec<Value> {
        // The lines of one test at a time.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        WRITTEN.lock().unwrap().clear();
        let lines = LogLines::new(|| Shared).with_filter(selected(&["service"], level));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let written = WRITTEN.lock().unwrap();
        written
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_the_ids_of_its_request() {
        let ids = RequestIds::received(Some(b"a-7"), None);
        let lines = logged(Level::WARN, || {
            let span = tracing::error_span!(target: REQUEST_SPAN, "request");
            ids.attach_to(&span);
            span.in_scope(|| {
                tracing::warn!(size = 7, on = true, share = 0.5, name = "x \"y\"", "a message");
                tracing::info!("not selected");
                tracing::info!(target: AUDIT, "who did what");
                tracing::info!(target: "another_crate", "not selected");
            });
            tracing::error!("no request");
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        let line = &lines[0];
        assert_eq!((&line["message"], &line["level"]), (&"a message".into(), &"WARN".into()));
        assert_eq!((&line["size"], &line["on"], &line["share"]), (&7.into(), &true.into(), &0.5.into()));
        assert_eq!((&line["name"], &line["request_id"]), (&"x \"y\"".into(), &"a-7".into()));
        assert_eq!(line["trace_id"], ids.trace());
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!(lines[1]["message"], "who did what");
        assert!(lines[2].get("request_id").is_none());
    }

    #[test]
    fn no_text_in_a_line_is_a_secret_or_personal_data() {
        let token = ["AK", "IA", "2345ABCDEFGHQRST"].concat();
        let lines = logged(Level::TRACE, || {
            tracing::warn!(token, debug = ?Some(&token), display = %token, "use {token} for ana@example.org");
            tracing::trace!(long = "long ".repeat(TEXT_BYTES_MAX));
        });
        let text = format!("{lines:?}");
        assert!(!text.contains(&token) && !text.contains("example.org"), "{text}");
        assert_eq!(lines[0]["message"], "use [SECRET] for [EMAIL]");
        assert_eq!(lines[1]["long"].as_str().unwrap().len(), TEXT_BYTES_MAX);
    }
}
