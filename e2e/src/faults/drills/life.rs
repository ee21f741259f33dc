//! One engine with its archive, through several drills.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::dice::Dice;
use super::super::engine::{Engine, Launch};
use super::super::http::{Answer, Connection};
use super::archive::{Archive, INTERVAL, KEPT, Said};
use super::fuse::Fuse;
use super::memories::{Forgotten, Memory, save, save_until};
use super::step::{Lengths, Step};

/// Longest time until everything is archived: the steps after a restart take a fraction of a second.
const ARCHIVED_LIMIT: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);
/// Memories of one request at most.
const SAVED_MAX: u64 = 30;
/// Memories that one request forgets at most.
const FORGOTTEN_MAX: u64 = 5;

/// A request to forget that was not answered, or was not finished.
#[derive(Debug)]
struct Pending {
    key: String,
    ids: Vec<String>,
}

/// An engine with an archive, and what its clients know.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) place: PathBuf,
    pub(super) archive: Archive,
    pub(super) launch: Launch,
    pub(super) memories: Vec<Memory>,
    /// The newest backup that was verified.
    pub(super) verified: Option<String>,
    pub(super) dice: Dice,
    next: u64,
    pending: Vec<Pending>,
    requests: u64,
    engine_fuse: Fuse,
    command_fuse: Fuse,
}

/// How a step ended.
#[derive(Debug)]
pub(super) struct Struck {
    /// When the engine was gone.
    pub(super) died: Instant,
    /// Whether a process was killed inside of the step; otherwise the engine was killed just after it.
    pub(super) inside: bool,
    /// The last event that the engine had reported as archived.
    pub(super) archived: u64,
    /// What was wrong already.
    pub(super) breaches: Vec<String>,
}

impl Life {
    pub(super) fn begin(
        place: PathBuf,
        archive: Archive,
        engine: &Path,
        library: &Path,
        dice: Dice,
    ) -> Result<Life> {
        let config = place.join("config.yaml");
        fs::write(&config, archive.configuration(KEPT))?;
        let engine_fuse = Fuse::new(library, &place.join("engine-calls"))?;
        let command_fuse = Fuse::new(library, &place.join("command-calls"))?;
        let mut launch = Launch::new(engine, &place.join("data"));
        launch.config = Some(config);
        launch.environment = engine_fuse.environment();
        Ok(Life {
            place,
            archive,
            launch,
            memories: Vec::new(),
            verified: None,
            dice,
            next: 1,
            pending: Vec::new(),
            requests: 0,
            engine_fuse,
            command_fuse,
        })
    }

    /// Starts the engine, and waits until everything that it has is archived.
    pub(super) fn start(&mut self) -> Result<Engine> {
        self.engine_fuse.arm(0)?;
        let engine = Engine::start(&self.launch)?;
        if self.memories.is_empty() {
            // The first backup is taken when there is something to take.
            self.save(&engine)?;
        }
        archived(&engine)?;
        Ok(engine)
    }

    fn save(&mut self, engine: &Engine) -> Result<()> {
        let count = 1 + self.dice.below(SAVED_MAX);
        let mut connection = Connection::open(engine.api)?;
        self.memories.extend(save(&mut connection, self.next, count)?);
        self.next += count;
        Ok(())
    }

    /// Uses the engine in some way that works.
    pub(super) fn work(&mut self, engine: &Engine) -> Result<()> {
        for _ in 0..2 + self.dice.below(4) {
            self.save(engine)?;
            match self.dice.below(6) {
                0 => drop(Connection::open(engine.admin)?.post("/rotate", None, b"{}")?.json()?),
                1 => drop(self.take_backup(engine)?.json()?),
                2 => self.forget(engine)?,
                3 => sleep(self.dice.micros_below(1_500_000)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes a backup, and keeps the newest one that was verified.
    pub(super) fn take_backup(&self, engine: &Engine) -> Result<Answer> {
        let body = json!({"keep": self.verified.iter().collect::<Vec<_>>()}).to_string();
        Ok(Connection::open(engine.admin)?.post("/backups", None, body.as_bytes())?)
    }

    /// Asks the engine to forget some memories. It may be gone before it answers.
    fn forget(&mut self, engine: &Engine) -> Result<()> {
        let mut kept: Vec<usize> = (0..self.memories.len())
            .filter(|place| self.memories[*place].forgotten == Forgotten::No)
            .collect();
        let count = usize::try_from(1 + self.dice.below(FORGOTTEN_MAX))?;
        kept = self.dice.sample(kept, count);
        let ids: Vec<String> = kept.iter().map(|place| self.memories[*place].id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for place in kept {
            self.memories[place].forgotten = Forgotten::Asked;
        }
        self.requests += 1;
        let request = Pending { key: format!("forget-{}", self.requests), ids };
        let is_done = ask(engine, &request);
        if is_done.as_ref().is_ok_and(|done| *done) {
            self.done(&request.ids);
        } else {
            self.pending.push(request);
        }
        is_done.map(|_| ())
    }

    fn done(&mut self, ids: &[String]) {
        for memory in self.memories.iter_mut().filter(|memory| ids.contains(&memory.id)) {
            memory.forgotten = Forgotten::Done;
        }
    }

    /// Repeats the requests that were not finished, until they are.
    pub(super) fn finish_forgetting(&mut self, engine: &Engine) -> Result<()> {
        let deadline = Instant::now() + ARCHIVED_LIMIT;
        while let Some(request) = self.pending.pop() {
            while !ask(engine, &request)? {
                ensure!(Instant::now() < deadline, "what was forgotten stays in the archive: {request:?}");
                sleep(LOOK);
            }
            self.done(&request.ids);
        }
        Ok(())
    }

    /// The archive loses an event that was reported as archived: what the control does.
    pub(super) fn lose_one(&mut self, archived: u64) -> Result<()> {
        let is_kept = |memory: &&Memory| memory.forgotten == Forgotten::No && memory.seq <= archived;
        let seqs: Vec<u64> = self.memories.iter().filter(is_kept).map(|memory| memory.seq).collect();
        let chosen = self.dice.sample(seqs, 1);
        chosen.first().map_or(Ok(()), |seq| self.archive.lose(*seq))
    }

    /// Whether every request to forget was finished.
    pub(super) fn has_forgotten_everything(&self) -> bool {
        self.pending.is_empty()
    }

    /// Interrupts a step; the engine is gone afterwards.
    pub(super) fn interrupt(&mut self, step: Step, engine: Engine, lengths: &Lengths) -> Result<Struck> {
        let archived = status(&engine)?["archived_seq"].as_u64().unwrap_or(0);
        let call = lengths.moment(step, &mut self.dice);
        let mut breaches = Vec::new();
        let (inside, left, died) = match step {
            Step::Restore | Step::Prune => {
                let (inside, left) = self.command(step, call, &mut breaches)?;
                engine.kill();
                (inside, left, Instant::now())
            }
            Step::TakeOver => {
                engine.kill();
                let died = Instant::now();
                let (inside, left) = self.take_over(call)?;
                (inside, left, died)
            }
            _ => self.in_engine(step, call, engine, &mut breaches)?,
        };
        match inside {
            true => lengths.interrupted(step, call),
            false => lengths.counted(step, call.saturating_sub(left)),
        }
        Ok(Struck { died, inside, archived, breaches })
    }

    /// Lets a client write while the engine carries out a step, and kills the engine inside of the step, or after it.
    fn in_engine(
        &mut self,
        step: Step,
        call: u64,
        engine: Engine,
        breaches: &mut Vec<String>,
    ) -> Result<(bool, u64, Instant)> {
        let (stop, dice) = (AtomicBool::new(false), self.dice.fork(self.next));
        let (fuse, next, api) = (self.engine_fuse.clone(), self.next, engine.api);
        let (acted, saved) = thread::scope(|scope| {
            let stop = &stop;
            let client = scope.spawn(move || save_until(api, next, dice, stop));
            sleep(self.dice.micros_below(100_000));
            let acted = fuse.arm(call).and_then(|()| self.act(step, &engine));
            let saved = client_result(&fuse, &engine, stop, client);
            (acted, saved)
        });
        let left = fuse.left()?;
        let said = engine.kill();
        let died = Instant::now();
        let (saved, next) = saved?;
        self.memories.extend(saved);
        self.next = next;
        if said.contains("panicked") {
            breaches.push(format!("panic: {said}"));
        }
        // A step that fails is expected only if the engine was killed in it.
        if let Err(fault) = acted
            && left > 0
        {
            breaches.push(format!("{}: {fault:#}", step.name()));
        }
        Ok((left == 0, left, died))
    }

    fn act(&mut self, step: Step, engine: &Engine) -> Result<()> {
        match step {
            Step::Backup => drop(self.take_backup(engine)?.json()?),
            Step::Forgetting => self.forget(engine)?,
            Step::Rotation => {
                drop(Connection::open(engine.admin)?.post("/rotate", None, b"{}")?.json()?);
                sleep(INTERVAL);
            }
            _ => sleep(INTERVAL + INTERVAL / 4),
        }
        Ok(())
    }

    /// Kills an engine while it starts and takes over the archive.
    fn take_over(&self, call: u64) -> Result<(bool, u64)> {
        self.engine_fuse.arm(call)?;
        let started = Engine::spawn(&self.launch)?;
        let Ok(engine) = started else { return Ok((true, 0)) };
        let deadline = Instant::now() + ARCHIVED_LIMIT;
        while self.engine_fuse.left()? > 0
            && Instant::now() < deadline
            && !status(&engine).is_ok_and(|status| status["state"] == "archiving")
        {
            sleep(LOOK);
        }
        let left = self.engine_fuse.left()?;
        engine.kill();
        Ok((left == 0, left))
    }

    /// Kills a command, then runs it to its end.
    fn command(&self, step: Step, call: u64, breaches: &mut Vec<String>) -> Result<(bool, u64)> {
        let to = self.place.join("interrupted").display().to_string();
        let mut arguments = match step {
            Step::Restore => vec!["restore", "--to", &to],
            _ => vec!["prune", "--keep-last", "1", "--keep-days", "0"],
        };
        if step == Step::Prune {
            arguments.extend(self.verified.iter().flat_map(|name| ["--keep", name.as_str()]));
        }
        self.command_fuse.arm(call)?;
        let killed = self.archive.run(&arguments, Some(&self.command_fuse))?;
        let left = self.command_fuse.left()?;
        self.command_fuse.arm(0)?;
        if step == Step::Restore && killed.code == Some(0) {
            fs::remove_dir_all(&to)?;
        }
        // Whoever reads holds up removals for hours, also after it was killed.
        self.archive.age()?;
        let Said { code, text, .. } = self.archive.run(&arguments, None)?;
        if code != Some(0) {
            breaches.push(format!("{} after an interrupted one: {code:?} {text}", step.name()));
        }
        if Path::new(&to).exists() {
            let left: Vec<_> = fs::read_dir(&to)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
            if left.iter().flatten().any(|name| name == ".restoring") {
                breaches.push(format!("a restore has left its staging: {left:?}"));
            }
            fs::remove_dir_all(&to)?;
        }
        Ok((killed.was_killed, left))
    }
}

type Client<'scope> = thread::ScopedJoinHandle<'scope, (Vec<Memory>, u64)>;

/// Ends the client; returns what it has saved. An engine that is still there goes on for a moment, so that the kill
/// comes while it writes.
fn client_result(
    fuse: &Fuse,
    engine: &Engine,
    stop: &AtomicBool,
    client: Client<'_>,
) -> Result<(Vec<Memory>, u64)> {
    if fuse.left()? > 0 {
        engine.strike();
    }
    let joined = client.join();
    stop.store(true, Ordering::Release);
    joined.map_err(|_| anyhow::anyhow!("the client panicked"))
}

/// Asks to forget. Returns whether everything is gone, also from the archive.
fn ask(engine: &Engine, Pending { key, ids }: &Pending) -> Result<bool> {
    let body = json!({"ids": ids, "reason": "a drill"}).to_string();
    let answer = Connection::open(engine.api)?.post("/v1/forget", Some(key), body.as_bytes())?.json()?;
    let places = answer["places"].as_array().context("a report without places")?;
    let archive = places.iter().find(|place| place["place"] == "backups").context("no archive in it")?;
    Ok(archive["state"] == "gone")
}

/// The state of the archive.
pub(super) fn status(engine: &Engine) -> Result<Value> {
    Connection::open(engine.admin)?.get("/backups")?.json()
}

/// Waits until everything is archived; returns the number of the last event.
pub(super) fn archived(engine: &Engine) -> Result<u64> {
    let deadline = Instant::now() + ARCHIVED_LIMIT;
    loop {
        let status = status(engine)?;
        let has_backup = status["last_backup"].is_object() || status["archived_seq"] != 0;
        if status["state"] == "archiving" && status["lag_events"] == 0 && has_backup {
            return status["archived_seq"].as_u64().context("no number");
        }
        ensure!(Instant::now() < deadline, "not everything is archived: {status}");
        sleep(LOOK);
    }
}
