//! The logs that were imported into a target. They are read back from the engine's log and verified again by Zaxy's
//! rules.

use std::collections::BTreeMap;

use engine_core::digest::Hash;
use engine_core::wire::{EventView, LogHead};
use engine_core::zaxy::{Verifier, is_imported, read_payload};
use serde::Serialize;

use super::target::Target;
use super::target_report::TargetReport;

/// Maximum number of breaches that are listed. All are counted.
const BREACHES_MAX: usize = 20;

/// The imported logs of a target, as far as the engine's log was read.
#[derive(Debug, Default)]
pub(super) struct Imported {
    read_to: u64,
    logs: BTreeMap<(String, Hash), Chain>,
}

/// The last imported event of a log.
#[derive(Debug)]
pub(super) struct There {
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// Name of the file that the event came from. Copies of one log may have different names.
    pub(super) log: String,
    gaps: Vec<(u64, u64)>,
}

impl There {
    /// Whether the import of this log left out the event `seq`.
    pub(super) fn left_out(&self, seq: u64) -> bool {
        let after = self.gaps.partition_point(|(first, _)| *first <= seq);
        after.checked_sub(1).is_some_and(|gap| seq <= self.gaps[gap].1)
    }
}

/// One log as it was imported into one project.
#[derive(Debug, Default)]
pub(super) struct Chain {
    log: String,
    verifier: Verifier,
    events: u64,
    /// First and last sequence numbers of each gap.
    gaps: Vec<(u64, u64)>,
    first_seq: u64,
    last_seq: u64,
    breaches: Vec<ChainBreach>,
    breaches_count: u64,
}

/// An imported event that no longer verifies.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ChainBreach {
    /// Sequence number in the engine's log.
    seq: u64,
    /// Sequence number in the source log, as recorded by the import.
    source_seq: u64,
    reason: &'static str,
}

/// Output of `import verify`.
#[derive(Debug, Serialize)]
pub(super) struct VerifiedImports {
    /// Every imported event verifies.
    pub(super) ok: bool,
    target: TargetReport,
    logs: Vec<Proof>,
}

/// Result of verifying one imported log in the target.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Proof {
    /// Whether no imported event is changed, duplicated or missing.
    pub(super) ok: bool,
    project: String,
    /// Name of the file that the last event of this log came from.
    log: String,
    /// Hash of the log's first event, which identifies the log.
    chain: Hash,
    /// Number of events whose hash was recomputed from the stored data.
    events: u64,
    /// Number of places where `--keep-going` left out lines.
    gaps: u64,
    /// Sequence number of the last event in the source log.
    head_seq: u64,
    head_hash: Option<Hash>,
    /// Sequence number of this log's first event in the engine's log.
    first_seq: u64,
    last_seq: u64,
    breaches: Vec<ChainBreach>,
    breaches_count: u64,
}

impl Imported {
    /// Reads the events that were appended to the target's log since the last call.
    pub(super) async fn read_on(&mut self, target: &Target) -> anyhow::Result<()> {
        loop {
            let page = target.page(self.read_to).await?;
            let Some(last) = page.events.last() else { return Ok(()) };
            self.read_to = last.seq;
            page.events.iter().for_each(|event| self.take(event));
        }
    }

    fn take(&mut self, event: &EventView) {
        if !is_imported(&event.kind) {
            return;
        }
        // Any client may write events of these types. Events that do not have the form that an import writes are
        // ignored.
        let Some((source, record)) = read_payload(&event.payload) else { return };
        let chain = self.logs.entry((event.project.clone(), source.chain)).or_default();
        if chain.events == 0 {
            chain.first_seq = event.seq;
        }
        chain.last_seq = event.seq;
        let next = chain.verifier.head().map_or(1, |(seq, _)| seq + 1);
        if source.seq > next {
            chain.gaps.push((next, source.seq - 1));
            chain.verifier.skip_gap();
        }
        let reason = match chain.verifier.next_as(source.seq, record.get().as_bytes()) {
            Ok(found) if found.record.hash == source.hash => {
                chain.events += 1;
                chain.log = source.log;
                return;
            }
            Ok(_) => "source",
            Err(why) => why.label(),
        };
        chain.breaches_count += 1;
        if chain.breaches.len() < BREACHES_MAX {
            chain.breaches.push(ChainBreach { seq: event.seq, source_seq: source.seq, reason });
        }
    }

    /// The last imported event of this log.
    pub(super) fn head(&self, project: &str, chain: Hash) -> Option<There> {
        let found = self.logs.get(&(project.to_owned(), chain))?;
        let (seq, hash) = found.verifier.head()?;
        Some(There { seq, hash, log: found.log.clone(), gaps: found.gaps.clone() })
    }

    pub(super) fn proof(&self, project: &str, chain: Hash) -> Option<Proof> {
        let found = self.logs.get_key_value(&(project.to_owned(), chain))?;
        Some(Proof::of(found))
    }

    pub(super) fn verified(&self, head: LogHead) -> VerifiedImports {
        let logs: Vec<Proof> = self.logs.iter().map(Proof::of).collect();
        VerifiedImports { ok: logs.iter().all(|proof| proof.ok), target: TargetReport::of(head), logs }
    }
}

impl Proof {
    fn of(((project, chain), found): (&(String, Hash), &Chain)) -> Proof {
        let head = found.verifier.head();
        Proof {
            ok: found.breaches_count == 0,
            project: project.clone(),
            log: found.log.clone(),
            chain: *chain,
            events: found.events,
            gaps: found.gaps.len() as u64,
            head_seq: head.map_or(0, |(seq, _)| seq),
            head_hash: head.map(|(_, hash)| hash),
            first_seq: found.first_seq,
            last_seq: found.last_seq,
            breaches: found.breaches.clone(),
            breaches_count: found.breaches_count,
        }
    }
}
