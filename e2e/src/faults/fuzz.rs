//! Builds the fuzz targets (`fuzz/`) and runs each for a limited time.
//!
//! libFuzzer works with the stable compiler: coverage is a compiler pass that needs no nightly. A sanitizer would find
//! nothing, because this repository has no `unsafe` code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};

use super::progress::Progress;
use crate::paths;

/// The flags that cargo-fuzz passes, without the sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// The target with a planted fault, which must be found.
const PLANTED: &str = "planted";
/// Runs shorter than this use the cargo profile that builds faster (fuzz/Cargo.toml).
const SHORT_S: u32 = 60;
/// Number of targets that run at a time: one for each processor of a small machine.
const AT_ONCE: usize = 2;
/// Limit for a single input; a slower one is a finding.
const INPUT_SECONDS: u32 = 10;

/// A run of the fuzz targets.
#[derive(Debug)]
pub(super) struct Fuzzing {
    pub(super) seconds: u32,
    /// Only targets whose name contains this.
    pub(super) only: Option<String>,
}

impl Fuzzing {
    /// Builds and runs the targets; returns how many targets misbehaved.
    ///
    /// # Errors
    /// The targets do not build or cannot be started.
    pub(super) fn run(&self) -> Result<usize> {
        let programs = build(if self.seconds < SHORT_S { "short" } else { "release" })?;
        let only = self.only.as_deref().unwrap_or_default();
        let targets: Vec<String> = targets()?.into_iter().filter(|name| name.contains(only)).collect();
        if targets.is_empty() {
            bail!("no target matches");
        }
        let progress = Mutex::new(Progress::new("fuzz targets", targets.len() as u64));
        let (next, failed, broken) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match self.run_one(&programs, target) {
                            Ok(true) => {}
                            Ok(false) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                            Err(fault) => {
                                *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                            }
                        }
                        progress.lock().unwrap_or_else(PoisonError::into_inner).step();
                    }
                });
            }
        });
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault),
            None => Ok(failed.into_inner()),
        }
    }

    /// Runs one target; returns whether it behaved as expected.
    fn run_one(&self, programs: &Path, target: &str) -> Result<bool> {
        let kept = paths::cache_dir().join("fuzz");
        let corpus = kept.join(target);
        // Without the old corpus: the planted fault must be found from an empty corpus each time.
        if target == PLANTED && corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        fs::create_dir_all(&corpus)?;
        let seeds = paths::checkout_dir().join("fuzz/seeds").join(target);
        let mut command = Command::new(programs.join(target));
        command.arg(format!("-max_total_time={}", self.seconds)).arg(format!("-timeout={INPUT_SECONDS}"));
        command.arg("-rss_limit_mb=2048").arg(format!("-artifact_prefix={}/{target}-", kept.display()));
        command.arg(&corpus).args(Some(seeds).filter(|seeds| seeds.is_dir()));
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {target}"))?;
        let found = !output.status.success();
        let well = found == (target == PLANTED);
        println!("{target:<12} {:<8} {}", if found { "found" } else { "nothing" }, figures(&output));
        if !well {
            println!("{}", last_lines(&output));
        }
        Ok(well)
    }
}

/// All targets of the fuzz crate.
fn targets() -> Result<Vec<String>> {
    let folder = fs::read_dir(paths::checkout_dir().join("fuzz/fuzz_targets"))?;
    let files = folder.map(|entry| Ok(entry?.path()));
    let names =
        files.map(|path| path.map(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned())));
    let mut names: Vec<String> = names.filter_map(Result::transpose).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Builds all targets into a separate folder, because the flags would rebuild everything else. Returns the folder.
fn build(profile: &str) -> Result<PathBuf> {
    let beside = std::env::current_exe()?;
    let output = beside.ancestors().nth(2).context("the program's path has too few parents")?.join("fuzz");
    let host = host()?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--locked", "--profile", profile, "--target", &host])
        .env("RUSTFLAGS", FLAGS);
    cargo.arg("--target-dir").arg(&output).current_dir(paths::checkout_dir().join("fuzz"));
    if !cargo.stdin(Stdio::null()).status().context("`cargo` cannot be started")?.success() {
        bail!("the fuzz targets do not build");
    }
    Ok(output.join(host).join(profile))
}

/// The host triple, passed explicitly so that build scripts are not instrumented.
fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("`rustc` cannot be started")?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not report its host")?.to_owned())
}

/// Returns libFuzzer's last figures: inputs, coverage, corpus.
fn figures(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let figures = said.lines().rfind(|line| line.starts_with('#') && line.contains("cov:"));
    figures.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn last_lines(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    crate::command::last_lines(&said, 25).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_and_has_seeds() {
        let manifest = fs::read_to_string(paths::checkout_dir().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() > 10);
        for target in targets {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            let seeds = paths::checkout_dir().join("fuzz/seeds").join(&target);
            assert!(target == PLANTED || seeds.is_dir(), "{target}");
        }
    }
}
