//! What must hold of an archive after a process was killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::super::engine::{Engine, Launch};
use super::archive::{Said, backups};
use super::life::{Life, Struck, archived};
use super::memories::{Forgotten, found};

/// Longest time before the kill of which memories may be missing in a restore: an interval of the archive, during which
/// nothing is stored, and a margin for two steps of the archive on a busy machine.
pub(super) const LOSS_MAX: Duration = Duration::from_secs(6);

/// What a drill has measured.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Measured {
    /// Age of the oldest acknowledged memory that is in no restore.
    pub(super) rpo: Duration,
    /// From the beginning of a restore to an engine that answers.
    pub(super) rto: Duration,
    /// Restores and verifications.
    pub(super) restores: u64,
}

impl Life {
    /// Checks what the archive alone gives: the volume is lost.
    pub(super) fn check_archive(&self, struck: &Struck, breaches: &mut Vec<String>) -> Result<Measured> {
        let mut measured = Measured::default();
        let to = self.place.join("lost");
        let started = Instant::now();
        let Some(there) = self.restored(&to, &[], breaches, &mut measured)? else { return Ok(measured) };
        // Without the archive's configuration: it would take over the archive.
        match Engine::start(&Launch::new(&self.launch.program, &to)) {
            Ok(_) => measured.rto = started.elapsed(),
            Err(fault) => breaches.push(format!("an engine on what was restored: {fault:#}")),
        }
        fs::remove_dir_all(&to)?;
        for memory in self.memories.iter().filter(|memory| !there.contains(&memory.number)) {
            if memory.forgotten != Forgotten::No {
                continue;
            }
            if memory.seq <= struck.archived {
                breaches.push(format!(
                    "memory {} was archived as event {} and is not restored",
                    memory.number, memory.seq
                ));
            }
            measured.rpo = measured.rpo.max(struck.died.saturating_duration_since(memory.acknowledged));
        }
        if measured.rpo > LOSS_MAX {
            breaches.push(format!("a memory that is {:?} old is not restored", measured.rpo));
        }
        if let Some(name) = &self.verified {
            let Said { code, text, .. } = self.archive.run(&["verify", "--backup", name], None)?;
            measured.restores += 1;
            if code != Some(0) {
                breaches.push(format!("{name} was verified before, and now: {text}"));
            }
        }
        if self.has_forgotten_everything() {
            self.check_forgotten(breaches)?;
        }
        Ok(measured)
    }

    /// Checks an archive whose engine runs again: nothing is missing, nothing is left, and the newest backup verifies.
    pub(super) fn check_continued(
        &mut self,
        engine: &Engine,
        breaches: &mut Vec<String>,
        measured: &mut Measured,
    ) -> Result<()> {
        self.finish_forgetting(engine)?;
        // The removal after it also removes what an interrupted one has left.
        let taken = self.take_backup(engine)?.json()?;
        if !taken["pruned"]["skipped"].is_null() {
            breaches.push(format!("not everything was removed: {taken}"));
        }
        let head = archived(engine)?;
        let to = self.place.join("again");
        if let Some(there) = self.restored(&to, &[], breaches, measured)? {
            fs::remove_dir_all(&to)?;
            let kept = self.memories.iter().filter(|memory| memory.forgotten == Forgotten::No);
            for memory in kept.filter(|memory| !there.contains(&memory.number)) {
                breaches.push(format!(
                    "memory {} is missing although all {head} events are archived",
                    memory.number
                ));
            }
        }
        let list = self.archive.run(&["list", "--json"], None)?;
        for name in backups(&list.answer) {
            let to = self.place.join("older");
            if self.restored(&to, &["--backup", &name], breaches, measured)?.is_some() {
                fs::remove_dir_all(&to)?;
            }
        }
        self.check_forgotten(breaches)?;
        let leftovers = self.archive.leftovers()?;
        if !leftovers.is_empty() {
            breaches.push(format!("left behind in the archive: {leftovers:?}"));
        }
        let verified = self.archive.run(&["verify"], None)?;
        measured.restores += 1;
        if verified.code != Some(0) {
            breaches.push(format!("the newest backup does not verify: {}", verified.text));
        }
        self.verified = verified.answer["backup"].as_str().map(str::to_owned);
        Ok(())
    }

    fn check_forgotten(&self, breaches: &mut Vec<String>) -> Result<()> {
        let checked = self.archive.run(&["forget-check"], None)?;
        if checked.code != Some(0) {
            breaches.push(format!("forget-check: {}", checked.text));
        }
        Ok(())
    }

    /// Restores from the archive alone. Returns the numbers of the memories that are there; `None` if nothing was
    /// restored.
    fn restored(
        &self,
        to: &Path,
        more: &[&str],
        breaches: &mut Vec<String>,
        measured: &mut Measured,
    ) -> Result<Option<BTreeSet<u64>>> {
        let shown = to.display().to_string();
        let said = self.archive.run(&[&["restore", "--to", &shown], more].concat(), None)?;
        measured.restores += 1;
        let is_whole = said.answer["damaged"].as_array().is_some_and(Vec::is_empty);
        if said.code != Some(0) || !is_whole {
            breaches.push(format!("restore {}: {:?} {}", more.join(" "), said.code, said.text));
        }
        if said.code != Some(0) {
            return Ok(None);
        }
        let there = found(&to.join("log")).context("what was restored has no log")?;
        let done = self.memories.iter().filter(|memory| memory.forgotten == Forgotten::Done);
        for memory in done.filter(|memory| there.contains(&memory.number)) {
            breaches.push(format!(
                "memory {} was forgotten and is in restore {}",
                memory.number,
                more.join(" ")
            ));
        }
        Ok(Some(there))
    }
}
