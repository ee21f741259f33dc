//! Imports of products whose stores have no hash chain. Records are read one at a time; engine_core::peers translates
//! each record into steps, which are sent one by one.
//!
//! ```text
//! product   the supported products
//! files     finds the files of a store
//! sqlite    reads databases in pages of rows
//! sender    sends steps with idempotency keys derived from the source, and checks whether the engine redacted them
//! report    what was imported, changed and refused; it never quotes a record
//! ```

mod files;
pub(super) mod product;
mod report;
mod sender;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use engine_core::limits::{IMPORT_FILE_BYTES_MAX, LINE_BYTES_MAX};
use engine_core::peers::{Record, Refused, basic_memory, mem0, server_memory};
use engine_core::request;
use serde_json::Value;

use crate::causes::with_causes;

use self::files::{Kind, Source};
use self::product::Product;
use self::report::{FileReport, Report};
use self::sender::Sender;
use super::arguments::{PeerArgs, REFUSED, publish};
use super::source::Lines;
use super::target_report::TargetReport;

/// Size of the read buffer.
const READ_BYTES: usize = 1 << 18;

pub(super) async fn import(product: Product, args: &PeerArgs) -> anyhow::Result<ExitCode> {
    request::filter("--project", &args.project)?;
    let found = files::find(product, &args.from).with_context(|| format!("cannot read {:?}", args.from))?;
    if found.sources.is_empty() {
        bail!("no files of {} found at {:?}", product.name(), args.from);
    }
    let target = if args.dry_run { None } else { Some(args.target.open()?) };
    let mut report = Report::new(product.name(), &args.project, args.dry_run, found.skipped);
    let mut sender = Sender::new(target.as_ref(), product.name(), &args.project);
    let outcome = run(product, &found.sources, &mut sender, &mut report).await;
    if let (Some(target), Ok(())) = (&target, &outcome) {
        report.target = Some(TargetReport::of(target.head().await?));
    }
    if let Some(target) = target {
        target.close();
    }
    report.unfinished = outcome.err().map(|fault| with_causes(&fault));
    report.conclude();
    publish(&report, args.report.as_deref())?;
    match &report.unfinished {
        Some(fault) => bail!("not finished: {fault}; run the same command again to continue"),
        None if report.ok => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(REFUSED)),
    }
}

async fn run(
    product: Product,
    sources: &[Source],
    sender: &mut Sender<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let names =
        if product == Product::BasicMemory { names(sources)? } else { basic_memory::Names::default() };
    for source in sources {
        let mut file = FileReport::new(source);
        let outcome = one(product, source, &names, sender, &mut file).await;
        report.files.push(file);
        outcome.with_context(|| format!("cannot read {:?}", source.path))?;
    }
    Ok(())
}

async fn one(
    product: Product,
    source: &Source,
    names: &basic_memory::Names,
    sender: &mut Sender<'_>,
    file: &mut FileReport,
) -> anyhow::Result<()> {
    match (product, source.kind) {
        (Product::BasicMemory, Kind::Text) => {
            let record = match whole(&source.path)? {
                Ok(bytes) => basic_memory::note(&source.name, &bytes)
                    .map_or_else(Record::refused, |note| basic_memory::record(&note, names)),
                Err(why) => Record::refused(why),
            };
            sender.send(1, record, file).await
        }
        (Product::BasicMemory, _) => {
            let mut notes = sqlite::Notes::open(&source.path)?;
            while let Some((place, note)) = notes.next()? {
                let record = note.map_or_else(Record::refused, |note| basic_memory::record(&note, names));
                sender.send(place, record, file).await?;
            }
            Ok(())
        }
        (Product::Mem0, Kind::Database) => {
            let mut records = sqlite::Memories::open(&source.path)?;
            while let Some((place, record)) = records.next()? {
                sender.send(place, record, file).await?;
            }
            Ok(())
        }
        (Product::Mem0, Kind::Text) => {
            let records = match whole(&source.path)? {
                Ok(bytes) => export(&bytes),
                Err(why) => vec![Record::refused(why)],
            };
            for (place, record) in (1..).zip(records) {
                sender.send(place, record, file).await?;
            }
            Ok(())
        }
        (_, Kind::Database) => {
            sender.send(1, Record::refused(Refused::NotA("a file with one JSON value per line")), file).await
        }
        (Product::ServerMemory | Product::Mem0, _) => lines(product, source, sender, file).await,
    }
}

/// Imports a file with one or more records per line.
async fn lines(
    product: Product,
    source: &Source,
    sender: &mut Sender<'_>,
    file: &mut FileReport,
) -> anyhow::Result<()> {
    let opened = File::open(&source.path)?;
    let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, opened), LINE_BYTES_MAX);
    while let Some(line) = lines.next()? {
        if line.text.trim_ascii().is_empty() {
            continue;
        }
        let records = match (line.too_long, product) {
            (true, _) => {
                let max = format!("{LINE_BYTES_MAX} bytes");
                vec![Record::refused(Refused::TooLong { what: "the line", max })]
            }
            // A graph that spans several lines is one JSON value.
            (false, Product::ServerMemory) if line.number == 1 && line.text.trim_ascii() == b"{" => {
                let records = match whole(&source.path)? {
                    Ok(bytes) => server_memory::line(&bytes),
                    Err(why) => vec![Record::refused(why)],
                };
                for (place, record) in (1..).zip(records) {
                    sender.send(place, record, file).await?;
                }
                return Ok(());
            }
            (false, Product::ServerMemory) => server_memory::line(line.text),
            (false, _) => export(line.text),
        };
        let place = line.number;
        for record in records {
            sender.send(place, record, file).await?;
        }
    }
    Ok(())
}

/// Parses memories of mem0 in JSON: one memory, or a list of memories.
fn export(bytes: &[u8]) -> Vec<Record> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if let Err(why) = engine_core::strict::check(bytes) {
        return vec![Record::refused(Refused::NotStrict(why))];
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) if fields.contains_key("id") => {
            vec![mem0::memory(&fields).unwrap_or_else(Record::refused)]
        }
        Ok(value) => mem0::export(&value),
        Err(_) => vec![Record::refused(Refused::NotA("JSON"))],
    }
}

/// Collects the names of all notes before the first note is sent, because a note may link to a later one.
fn names(sources: &[Source]) -> anyhow::Result<basic_memory::Names> {
    let mut names = basic_memory::Names::default();
    for source in sources {
        if source.kind == Kind::Database {
            let mut notes = sqlite::Notes::open(&source.path)?;
            while let Some((_, note)) = notes.next()? {
                note.into_iter().for_each(|note| names.add(&note));
            }
        } else if let Ok(bytes) = whole(&source.path)? {
            basic_memory::note(&source.name, &bytes).into_iter().for_each(|note| names.add(&note));
        }
    }
    Ok(names)
}

/// Reads a whole file. Refuses a file larger than `IMPORT_FILE_BYTES_MAX`.
fn whole(path: &Path) -> anyhow::Result<Result<Vec<u8>, Refused>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let opened = || format!("cannot read {path:?}");
    let file = File::open(path).with_context(opened)?;
    file.take(IMPORT_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(opened)?;
    if bytes.len() as u64 > IMPORT_FILE_BYTES_MAX {
        let max = format!("{IMPORT_FILE_BYTES_MAX} bytes");
        return Ok(Err(Refused::TooLong { what: "the file", max }));
    }
    Ok(Ok(bytes))
}
