//! Imports one log after the other: reads, verifies and sends the events of each log.

use std::fs::File;
use std::io::{BufReader, IsTerminal, stderr};

use anyhow::{Context, bail};
use engine_core::limits::LINE_BYTES_MAX;
use engine_core::zaxy::{Refused, Verified, Verifier, translate};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::batch::{Batch, Sent};
use super::imported::{Imported, There};
use super::report::{LogReport, NotRead, RefusedLine, Report};
use super::source::{Line, Lines, SourceLog};
use super::target::Target;

/// How often an import starts over because of a concurrent import of the same log, before it fails.
const OVERTAKEN_MAX: usize = 8;
/// Size of the read buffer.
const READ_BYTES: usize = 1 << 18;

/// The settings of an import.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    /// Absent in a dry run.
    target: Option<&'a Target>,
    project: &'a str,
    keep_going: bool,
    progress: ProgressBar,
}

/// State of one pass over a log.
#[derive(Debug)]
struct Pass<'a> {
    verifier: Verifier,
    batch: Option<Batch<'a>>,
    /// The last event of this log that the target has.
    there: Option<There>,
    report: LogReport,
}

/// How to continue after a line.
enum Next {
    Line,
    /// The import of this log ends before the line that starts at this byte.
    End(u64),
    /// Another import writes the same log: read the state of the target again and start over.
    Again,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        target: Option<&'a Target>,
        project: &'a str,
        keep_going: bool,
        logs: &[SourceLog],
    ) -> Transfer<'a> {
        let progress = ProgressBar::new(logs.iter().map(|log| log.bytes).sum());
        let style =
            ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !stderr().is_terminal() {
            progress.set_draw_target(ProgressDrawTarget::hidden());
        }
        Transfer { target, project, keep_going, progress }
    }

    /// Removes the progress bar from the terminal.
    pub(super) fn finish(&self) {
        self.progress.finish_and_clear();
    }

    /// Imports the events of one log that the target does not have, and adds the report on the log.
    pub(super) async fn log(
        &self,
        source: &SourceLog,
        imported: &mut Imported,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.progress.set_message(source.name.clone());
        let before = self.progress.position();
        // Number of events that earlier passes of this run wrote. A later pass finds them in the target.
        let mut own = 0;
        for _ in 0..OVERTAKEN_MAX {
            let mut pass = Pass {
                verifier: Verifier::default(),
                batch: None,
                there: None,
                report: LogReport::new(source),
            };
            let outcome = self.pass(source, imported, &mut pass).await;
            let again = matches!(outcome, Ok(true));
            if !again {
                // The report also counts events that were imported before an error.
                pass.report.imported += own;
                pass.report.already_there = pass.report.already_there.saturating_sub(own);
                report.logs.push(pass.report);
                return outcome.map(|_| ());
            }
            own += pass.report.imported;
            self.progress.set_position(before);
            if let Some(target) = self.target {
                imported.read_on(target).await?;
            }
        }
        bail!("another import writes {:?} at the same time", source.name)
    }

    /// Reads a log once. Returns whether the import has to start over.
    async fn pass(
        &self,
        source: &SourceLog,
        imported: &Imported,
        pass: &mut Pass<'a>,
    ) -> anyhow::Result<bool> {
        let opened = || format!("cannot read {:?}", source.path);
        let file = File::open(&source.path).with_context(opened)?;
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, file), LINE_BYTES_MAX);
        let mut position = 0;
        while let Some(line) = lines.next().with_context(opened)? {
            pass.report.lines = line.number;
            match self.line(&line, source, imported, pass).await? {
                Next::Line => {}
                Next::End(byte) => {
                    pass.report.not_read = Some(NotRead { byte, bytes: source.bytes.saturating_sub(byte) });
                    break;
                }
                Next::Again => return Ok(true),
            }
            let read = lines.position();
            self.progress.inc(read - position);
            position = read;
        }
        if self.flush(pass).await? {
            return Ok(true);
        }
        pass.compare_ends(&source.name);
        Ok(false)
    }

    async fn line(
        &self,
        line: &Line<'_>,
        source: &SourceLog,
        imported: &Imported,
        pass: &mut Pass<'a>,
    ) -> anyhow::Result<Next> {
        if line.text.trim_ascii().is_empty() {
            pass.report.blank_lines += 1;
            return Ok(Next::Line);
        }
        if line.too_long {
            pass.verifier.skip_line();
            return Ok(self.refused(line, pass, Refused::TooLong.label(), Refused::TooLong.to_string()));
        }
        let event = match pass.verifier.next(line.text) {
            Ok(event) => event,
            Err(why) => {
                pass.verifier.skip_gap();
                let label = if line.ended { why.label() } else { Refused::Torn.label() };
                return Ok(self.refused(line, pass, label, why.to_string()));
            }
        };
        pass.report.unterminated = !line.ended;
        self.event(&event, line, source, imported, pass).await
    }

    async fn event(
        &self,
        event: &Verified<'_>,
        line: &Line<'_>,
        source: &SourceLog,
        imported: &Imported,
        pass: &mut Pass<'a>,
    ) -> anyhow::Result<Next> {
        let hash = event.record.hash;
        let chain = *pass.report.chain.get_or_insert(hash);
        if pass.report.count_first(event) {
            pass.there = imported.head(self.project, chain);
        }
        let there = pass.there.as_ref().filter(|there| event.seq <= there.seq);
        let left_out = there.is_some_and(|there| there.left_out(event.seq));
        let is_there = there.is_some() && !left_out;
        if let Some(there) = there.filter(|there| event.seq == there.seq && hash != there.hash) {
            let detail = format!("a different event {} was imported before: this log has forked", there.seq);
            self.refused(line, pass, "diverged", detail);
            return Ok(Next::End(line.byte));
        }
        let translated = match translate(event, &source.name, chain) {
            Ok(translated) => translated,
            Err(why) => return Ok(self.refused(line, pass, why.label(), why.to_string())),
        };
        if left_out {
            // The engine's log is append-only, so an event that was left out cannot be inserted later.
            let detail =
                format!("event {} was left out of an earlier import, which continued after it", event.seq);
            self.refused(line, pass, "left_out", detail);
            return Ok(Next::Line);
        }
        pass.report.translated(&translated);
        if is_there {
            pass.report.already_there += 1;
            pass.report.memories += u64::from(translated.memory.is_some());
            return Ok(Next::Line);
        }
        let batch = pass.batch.get_or_insert_with(|| Batch::new(self.project, chain));
        batch.push(event.seq, &translated)?;
        if batch.is_full() && self.flush(pass).await? { Ok(Next::Again) } else { Ok(Next::Line) }
    }

    fn refused(&self, line: &Line<'_>, pass: &mut Pass<'a>, reason: &'static str, detail: String) -> Next {
        pass.report.refuse(RefusedLine { line: line.number, byte: line.byte, reason, detail });
        if self.keep_going { Next::Line } else { Next::End(line.byte) }
    }

    /// Sends the current batch. Returns whether the import has to start over.
    async fn flush(&self, pass: &mut Pass<'a>) -> anyhow::Result<bool> {
        let (Some(target), Some(batch)) = (self.target, &mut pass.batch) else {
            pass.batch = None;
            return Ok(false);
        };
        if batch.is_empty() {
            return Ok(false);
        }
        let sent = batch.send(target).await?;
        Ok(pass.report.sent(sent))
    }
}

impl Pass<'_> {
    /// Refuses a source that ends before the last event imported from it: the file has lost its end since. A source
    /// with another name is not refused, because it may be an older copy.
    fn compare_ends(&mut self, name: &str) {
        let end = self.verifier.head().map_or(0, |(seq, _)| seq);
        let Some(there) = self.there.as_ref().filter(|there| there.seq > end && there.log == name) else {
            return;
        };
        if self.report.not_read.is_none() {
            let detail =
                format!("the log ends with event {end}, and event {} was imported before", there.seq);
            let line = self.report.lines;
            self.report.refuse(RefusedLine {
                line,
                byte: self.report.bytes,
                reason: "source_shorter",
                detail,
            });
        }
    }
}

impl LogReport {
    /// Counts an event. Returns whether the event is the first.
    fn count_first(&mut self, event: &Verified<'_>) -> bool {
        self.count(event);
        self.verified() == 1
    }

    /// Counts the result of a batch. Returns whether the import has to start over.
    fn sent(&mut self, sent: Sent) -> bool {
        self.imported += sent.events_new;
        self.already_there += sent.events_before;
        self.memories += sent.memories;
        for reason in sent.memories_refused {
            *self.memories_refused.entry(reason).or_default() += 1;
        }
        sent.overtaken
    }
}
