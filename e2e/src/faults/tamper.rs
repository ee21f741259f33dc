//! Edits that an attacker with access to the disk can make to a log, and what an engine that knows the anchor reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::dice::Dice;
use super::engine::{Engine, Launch};
use super::history::{self, History};
use super::http::Connection;
use super::progress::Progress;
use super::writers::{Load, Reply, Writer};

/// Requests between two rotations.
const REQUESTS: usize = 6;
/// Longest time until an engine reports its verdict: these logs have a few dozen events.
const VERDICT_LIMIT: Duration = Duration::from_secs(20);
/// Verdict for an unchanged log.
const WHOLE: &str = "whole";

/// Number of clean starts that run at a time: a start waits more than it computes.
const AT_ONCE: u64 = 4;

/// The logs from which the tampered logs are made.
#[derive(Debug)]
struct Stage {
    /// Three segments, the first two sealed.
    log: PathBuf,
    /// The same log after its first segment.
    older: PathBuf,
    /// The older log, continued with different events.
    fork: PathBuf,
    /// The log of another engine.
    foreign: PathBuf,
    /// The anchor of `log`.
    anchor: PathBuf,
}

type Edit = fn(&Stage, &Path) -> Result<()>;

/// Classes of tampering: name, accepted verdicts, and the edit applied to a copy of the log.
const CLASSES: [(&str, &[&str], Edit); 28] = [
    ("nothing", &[WHOLE], |_, _| Ok(())),
    ("tail dropped", &["truncated"], |_, data| {
        edit(data, |history| {
            let last = history.last()?;
            let lines = history::lines(last);
            *last = lines[..lines.len() - 2].concat();
            Ok(())
        })
    }),
    ("tail dropped, checkpoint and tree kept", &["truncated", "corrupt"], |_, data| {
        let (name, bytes) = newest(data)?;
        let lines = history::lines(&bytes);
        Ok(fs::write(name, lines[..lines.len() - 2].concat())?)
    }),
    ("last segment removed", &["truncated"], |_, data| {
        edit(data, |history| {
            history.segments.pop_last();
            Ok(())
        })
    }),
    ("middle segment removed", &["corrupt"], |_, data| {
        edit(data, |history| {
            let name = history.segments.keys().nth(1).cloned().context("no second segment")?;
            history.segments.remove(&name);
            Ok(())
        })
    }),
    ("first segment removed", &["corrupt"], |_, data| {
        edit(data, |history| {
            history.segments.pop_first();
            Ok(())
        })
    }),
    ("all segments removed", &["foreign_log", "truncated"], |_, data| {
        edit(data, |history| {
            history.segments.clear();
            Ok(())
        })
    }),
    ("volume rolled back", &["truncated"], |stage, data| replace(&stage.older, data)),
    ("continued from an older copy", &["forked"], |stage, data| replace(&stage.fork, data)),
    ("volume of another engine", &["foreign_log"], |stage, data| replace(&stage.foreign, data)),
    ("segment of another engine", &["corrupt"], |stage, data| {
        let foreign =
            History::read(&stage.foreign)?.segments.values().nth(1).cloned().context("no segment")?;
        edit(data, |history| {
            *history.segment(1)? = foreign;
            Ok(())
        })
    }),
    ("segment of the fork", &["corrupt"], |stage, data| {
        let fork = History::read(&stage.fork)?.segments.values().nth(1).cloned().context("no segment")?;
        edit(data, |history| {
            *history.segment(1)? = fork;
            Ok(())
        })
    }),
    ("lines swapped", &["corrupt"], |_, data| {
        edit_lines(data, 1, |lines| {
            lines.swap(2, 3);
            Ok(())
        })
    }),
    ("line duplicated", &["corrupt"], |_, data| {
        edit_lines(data, 1, |lines| {
            lines.insert(2, lines[2].clone());
            Ok(())
        })
    }),
    ("line removed", &["corrupt"], |_, data| {
        edit_lines(data, 1, |lines| {
            lines.remove(2);
            Ok(())
        })
    }),
    ("segments swapped", &["corrupt"], |_, data| {
        edit(data, |history| {
            let (first, second) = (history.segment(0)?.clone(), history.segment(1)?.clone());
            (*history.segment(0)?, *history.segment(1)?) = (second, first);
            Ok(())
        })
    }),
    ("payload edited, commitment recomputed", &["corrupt"], |_, data| {
        edit_lines(data, 1, |lines| {
            lines[2] = history::recommitted(&lines[2])?;
            Ok(())
        })
    }),
    ("seal with other counts", &["corrupt"], |_, data| {
        edit(data, |history| history::resealed(history.segment(0)?, |seal| seal.events += 1))
    }),
    ("seal with another root", &["corrupt"], |_, data| {
        edit(data, |history| history::resealed(history.segment(0)?, |seal| seal.root = seal.prev))
    }),
    ("epoch changed in a header", &["corrupt"], |_, data| {
        edit(data, |history| history::reheaded(history.segment(1)?, |header| header.epoch += 7))
    }),
    ("log id changed in a header", &["corrupt"], |_, data| {
        edit(data, |history| history::reheaded(history.segment(1)?, |header| header.log_id = "0".repeat(32)))
    }),
    ("compressed segment of the fork", &["corrupt"], |stage, data| {
        let (from, to) = (compressed(&stage.fork, 1)?, compressed(data, 1)?);
        fs::remove_file(&to)?;
        fs::copy(&from, data.join("log").join(from.file_name().context("no name")?))?;
        history::distrust(data)
    }),
    ("compressed segment with one bit flipped", &["corrupt"], |_, data| {
        let path = compressed(data, 0)?;
        let mut bytes = fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes)?;
        history::distrust(data)
    }),
    ("compressed segment truncated", &["corrupt"], |_, data| {
        let path = compressed(data, 0)?;
        let bytes = fs::read(&path)?;
        fs::write(path, &bytes[..bytes.len() / 2])?;
        history::distrust(data)
    }),
    ("log id changed, all rechained", &["foreign_log", "corrupt"], |_, data| {
        rewrite(data, |header, _| {
            header.log_id = "0".repeat(32);
            Ok(())
        })
    }),
    ("event edited, all rechained", &["rewritten"], |_, data| {
        rewrite(data, |_, lines| {
            lines[3] = history::repaid(&lines[3])?;
            Ok(())
        })
    }),
    ("two events swapped, all rechained", &["rewritten"], |_, data| {
        rewrite(data, |_, lines| {
            lines.swap(3, 4);
            Ok(())
        })
    }),
    ("event removed, all rechained", &["truncated", "rewritten"], |_, data| {
        rewrite(data, |_, lines| {
            lines.remove(3);
            Ok(())
        })
    }),
];

/// Edits that do not touch the log: the engine serves everything as before, and rebuilds the damaged files.
const HEALED: [(&str, Edit); 7] = [
    ("local checkpoint and tree removed", |_, data| history::distrust(data)),
    ("older local checkpoint", |stage, data| {
        fs::copy(stage.older.join("log/checkpoint"), data.join("log/checkpoint"))?;
        Ok(())
    }),
    ("local checkpoint of another engine", |stage, data| {
        fs::copy(stage.foreign.join("log/checkpoint"), data.join("log/checkpoint"))?;
        Ok(())
    }),
    ("tree edited", |_, data| {
        let mut tree = fs::read(data.join("log/tree"))?;
        tree.iter_mut().step_by(7).for_each(|byte| *byte ^= 1);
        Ok(fs::write(data.join("log/tree"), tree)?)
    }),
    ("tree truncated", |_, data| {
        let tree = fs::read(data.join("log/tree"))?;
        Ok(fs::write(data.join("log/tree"), &tree[..tree.len() / 2])?)
    }),
    ("projection removed", |_, data| Ok(fs::remove_dir_all(data.join("projection"))?)),
    ("unexpected files", |_, data| {
        fs::create_dir_all(data.join("log/torn"))?;
        fs::write(data.join("log/torn/00000000000000000001-0.bin"), b"{\"event\":")?;
        Ok(fs::write(data.join("log/checkpoint.new"), b"junk")?)
    }),
];

fn edit(data: &Path, change: impl FnOnce(&mut History) -> Result<()>) -> Result<()> {
    let mut history = History::read(data)?;
    change(&mut history)?;
    history.write(data)
}

fn edit_lines(
    data: &Path,
    segment: usize,
    change: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    edit(data, |history| {
        let bytes = history.segment(segment)?;
        let mut lines = history::lines(bytes);
        change(&mut lines)?;
        *bytes = lines.concat();
        Ok(())
    })
}

fn rewrite(
    data: &Path,
    change: impl FnOnce(&mut engine_core::format::Header, &mut Vec<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    let history = History::read(data)?;
    let (mut header, mut lines) = (history.header()?, history.event_lines());
    change(&mut header, &mut lines)?;
    history::rechained(&header, &lines)?.write(data)
}

/// Waits until the sealed segments are compressed; the engine does this in the background.
fn wait_for_compression(data: &Path) -> Result<()> {
    let deadline = Instant::now() + VERDICT_LIMIT;
    let is_raw = |path: &PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    loop {
        let entries = fs::read_dir(data.join("log"))?.flatten().map(|entry| entry.path());
        if entries.filter(is_raw).count() == 1 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("sealed segments are not compressed within {VERDICT_LIMIT:?}");
        }
        sleep(Duration::from_millis(10));
    }
}

/// The nth compressed segment.
fn compressed(data: &Path, n: usize) -> Result<PathBuf> {
    let entries = fs::read_dir(data.join("log"))?.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "zst")).collect();
    found.sort();
    found.get(n).cloned().context("a sealed segment was not compressed")
}

fn newest(data: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let name = History::read(data)?.segments.keys().next_back().cloned().context("no segment")?;
    let path = data.join("log").join(name);
    let bytes = fs::read(&path)?;
    Ok((path, bytes))
}

fn replace(other: &Path, data: &Path) -> Result<()> {
    fs::remove_dir_all(data)?;
    copy(other, data)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    if !copied.context("`cp` cannot be started")?.success() {
        bail!("{} cannot be copied", from.display());
    }
    Ok(())
}

/// All classes of tampering, run against one engine.
#[derive(Debug)]
pub(super) struct Tampering {
    pub(super) engine: PathBuf,
    pub(super) place: PathBuf,
    /// Number of starts on an untouched log, which must report no fault.
    pub(super) opens: u64,
}

impl Tampering {
    /// Runs every class and the clean starts; returns how many of them failed.
    ///
    /// # Errors
    /// The environment fails.
    pub(super) fn run(&self) -> Result<u64> {
        let stage = self.stage()?;
        let mut wrong = 0;
        for (name, expected, edit) in CLASSES {
            wrong += u64::from(!self.check(&stage, name, expected, edit)?);
        }
        for (name, edit) in HEALED {
            wrong += u64::from(!self.check(&stage, name, &[WHOLE], edit)?);
        }
        let alarms = self.false_alarms(&stage)?;
        println!(
            "{} classes of tampering, {} harmless ones, {wrong} with a wrong verdict; {} clean starts, {alarms} false alarms",
            CLASSES.len() - 1,
            HEALED.len(),
            self.opens
        );
        Ok(wrong + alarms)
    }

    fn check(&self, stage: &Stage, name: &str, expected: &[&str], edit: Edit) -> Result<bool> {
        let data = self.place.join("tampered");
        copy(&stage.log, &data)?;
        edit(stage, &data).with_context(|| name.to_owned())?;
        let said = self.verdict(&data, &stage.anchor)?;
        let well = expected.contains(&said.as_str());
        println!(
            "{name:<42} {said}{}",
            if well { String::new() } else { format!("   EXPECTED {}", expected.join(" or ")) }
        );
        fs::remove_dir_all(data)?;
        Ok(well)
    }

    fn false_alarms(&self, stage: &Stage) -> Result<u64> {
        let progress = Mutex::new(Progress::new("clean starts", self.opens));
        thread::scope(|scope| {
            let share = |n| self.opens / AT_ONCE + u64::from(n < self.opens % AT_ONCE);
            let start = |n| {
                scope.spawn({
                    let progress = &progress;
                    move || self.clean_starts(stage, &format!("clean-{n}"), share(n), progress)
                })
            };
            let threads: Vec<_> = (0..AT_ONCE).map(start).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
                .sum()
        })
    }

    fn clean_starts(
        &self,
        stage: &Stage,
        name: &str,
        starts: u64,
        progress: &Mutex<Progress>,
    ) -> Result<u64> {
        let (data, mut alarms) = (self.place.join(name), 0);
        copy(&stage.log, &data)?;
        for n in 0..starts {
            // Alternates between keeping and removing the files that make a start quick.
            if n % 3 == 0 {
                history::distrust(&data)?;
            }
            let said = self.verdict(&data, &stage.anchor)?;
            if said != WHOLE {
                println!("{name}, start {n}: {said}");
                alarms += 1;
            }
            progress.lock().unwrap_or_else(PoisonError::into_inner).step();
        }
        Ok(alarms)
    }

    /// Returns the verdict of an engine on the log in `data`: [`WHOLE`], or the kind of fault. An engine that reports a
    /// fault must refuse writes; an engine that reports none must accept them.
    fn verdict(&self, data: &Path, anchor: &Path) -> Result<String> {
        let mut launch = Launch::new(&self.engine, data);
        launch.arguments = vec!["--anchor".into(), anchor.display().to_string()];
        let engine = match Engine::spawn(&launch)? {
            Ok(engine) => engine,
            Err(ended) => return Ok(format!("does not serve: {}", ended.said)),
        };
        let said = judged(&engine)?;
        let written =
            Writer::new(9, &Dice::new(9), Load::Small).write_one(&mut Connection::open(engine.api)?);
        engine.terminate();
        let mut engine = engine;
        engine.ended(VERDICT_LIMIT);
        match (said.as_str(), written) {
            (WHOLE, Reply::Promised) => Ok(said),
            (WHOLE, _) => Ok("whole, and refuses writes".to_owned()),
            (_, Reply::Promised) => Ok(format!("{said}, but accepts writes")),
            _ => Ok(said),
        }
    }

    fn stage(&self) -> Result<Stage> {
        let at = |name: &str| self.place.join(name);
        let stage = Stage {
            log: at("log"),
            older: at("older"),
            fork: at("fork"),
            foreign: at("foreign"),
            anchor: at("anchor.json"),
        };
        fs::create_dir(&stage.log)?;
        fs::create_dir(&stage.foreign)?;
        self.write(&stage.log, 1, 1)?;
        copy(&stage.log, &stage.older)?;
        copy(&stage.log, &stage.fork)?;
        let checkpoint = self.write(&stage.log, 2, 2)?;
        // The fork is longer than the log it is compared with: a shorter fork would count as a dropped tail.
        self.write(&stage.fork, 3, 3)?;
        self.write(&stage.foreign, 4, 3)?;
        let part = |name: &str| checkpoint[name].clone();
        let anchor =
            json!({"origin": part("origin"), "size": part("size"), "root": part("root"), "rollbacks": 0});
        fs::write(&stage.anchor, json!({"state": "known", "anchor": anchor}).to_string())?;
        Ok(stage)
    }

    /// Writes events for this many segments and rotates after each; returns the checkpoint at the end.
    fn write(&self, data: &Path, client: u32, segments: usize) -> Result<Value> {
        let mut engine = Engine::start(&Launch::new(&self.engine, data))?;
        let mut writer = Writer::new(client, &Dice::new(client.into()), Load::Small);
        let (mut api, mut admin) = (Connection::open(engine.api)?, Connection::open(engine.admin)?);
        for _ in 0..segments {
            for _ in 0..REQUESTS {
                if writer.write_one(&mut api) != Reply::Promised {
                    bail!("an untouched log refuses writes: {}", writer.refusal);
                }
            }
            admin.post("/rotate", None, b"{}")?.json()?;
        }
        // Some events in the segment that is still open.
        for _ in 0..REQUESTS {
            writer.write_one(&mut api);
        }
        let checkpoint = admin.get("/checkpoint")?.json()?["checkpoint"].clone();
        wait_for_compression(data)?;
        engine.terminate();
        engine.ended(VERDICT_LIMIT).context("the engine does not stop")?;
        Ok(checkpoint)
    }
}

/// Waits until the engine has read the complete log; returns the kind of fault, or [`WHOLE`].
fn judged(engine: &Engine) -> Result<String> {
    let deadline = Instant::now() + VERDICT_LIMIT;
    loop {
        let health = engine.health()?;
        let (integrity, storage) = (&health["log"]["integrity"], &health["storage"]);
        if let Some(kind) = integrity["fault"]["kind"].as_str() {
            return Ok(kind.to_owned());
        }
        if storage["reason"] == "log_corrupt" {
            return Ok("corrupt".to_owned());
        }
        let all = health["log"]["seq"].as_u64().unwrap_or(u64::MAX);
        if storage["writable"] == true
            && integrity["verified_through"].as_u64() >= Some(all)
            && health["status"] == "ok"
        {
            return Ok(WHOLE.to_owned());
        }
        if Instant::now() > deadline {
            return Ok(format!("no verdict: {health}"));
        }
        sleep(Duration::from_millis(5));
    }
}
