//! The programs of the cluster, built from pinned Go modules once per machine.
//!
//! A built module is in `tools/<module>-<key>/bin` of the cache. The key is a hash of everything that determines the
//! build, so a new checkout reuses the build of an old one. A folder with that name is always complete: the build
//! writes to another folder, which is renamed at the end.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::command;
use crate::lock::Lock;
use crate::paths;
use crate::steps::{Steps, spoken};

/// A Go module under `e2e/tools`, and the programs that are built from it.
#[derive(Debug)]
struct Module {
    name: &'static str,
    /// Argument of `go build`: the module's tools, or the module's own main package.
    target: &'static str,
    tags: &'static str,
    ldflags: &'static str,
    programs: &'static [&'static str],
    /// Estimated seconds for the download and a build from nothing on two cores. Replaced by this machine's own figure
    /// once there is one.
    cold_build_s: u64,
}

/// Linker flags that set the version of Kubernetes. Without them, the API server reports `v0.0.0-master`, which Helm
/// and clients refuse.
const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// All modules. Each version of client-go needs its own module. The smallest module is first, so that a broken set-up
/// (no proxy, no disk) fails early.
const MODULES: [Module; 7] = [
    module("loopcsi", ".", &["loopcsi"], 17),
    module("etcd", "tool", &["etcd"], 88),
    Module {
        // Excludes what this cluster never uses, and what would need C headers.
        tags: "no_btrfs,no_devmapper,no_zfs,no_aufs",
        ..module("containerd", "tool", &["containerd", "containerd-shim-runc-v2", "ctr"], 131)
    },
    Module {
        ldflags: KUBERNETES_VERSION,
        ..module(
            "kubernetes",
            "tool",
            &[
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            ],
            585,
        )
    },
    module("coredns", "tool", &["coredns"], 185),
    module("csi", "tool", &["csi-provisioner", "csi-resizer"], 234),
    module("helm", "tool", &["helm"], 235),
];

/// Modules that only some tests and demos need: they are built when they are asked for.
const OTHERS: [Module; 5] = [
    module("netpol", ".", &["netpol"], 20),
    module("cyclonus", "tool", &["cyclonus"], 110),
    module("certmanager", ".", &["certmanager"], 200),
    module("contour", "tool", &["contour"], 240),
    module("versitygw", "tool", &["versitygw"], 240),
];

/// Programs that are also needed on an existing cluster.
const CLIENTS: [&str; 2] = ["helm", "kubectl"];

/// Longest download of a module.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);

/// Longest build: a cold build on a slow machine. A hang must still end.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

const fn module(
    name: &'static str,
    target: &'static str,
    programs: &'static [&'static str],
    cold_build_s: u64,
) -> Module {
    Module { name, target, tags: "", ldflags: "", programs, cold_build_s }
}

/// Builds the modules that are not built yet, and prints how long this may take.
///
/// # Errors
/// There is no Go, a module does not build, or another builder holds the lock for an hour.
pub async fn ensure(steps: &Steps) -> Result<()> {
    ensure_all(&MODULES, steps).await
}

/// Builds a module that is not one of the cluster's, unless it is built.
///
/// # Errors
/// As [`ensure`], or there is no module of this name.
pub async fn ensure_module(name: &str, steps: &Steps) -> Result<()> {
    let module = OTHERS.iter().find(|module| module.name == name);
    let module = module.with_context(|| format!("{name} is none of the modules"))?;
    ensure_all(std::slice::from_ref(module), steps).await
}

async fn ensure_all(modules: &'static [Module], steps: &Steps) -> Result<()> {
    if missing(modules)?.is_empty() {
        return Ok(());
    }
    let _lock = Lock::acquire(&tools_dir().join("lock"), BUILD_LIMIT, "another build of the tools").await?;
    let missing = missing(modules)?; // again: the other builder may have made them
    let mut durations = Durations::read();
    let estimate: u64 = missing.iter().map(|(module, _)| durations.estimate_s(module)).sum();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|(module, _)| module.name).collect();
        let total = spoken(Duration::from_secs(estimate));
        steps.say(&format!("building {} from source, once: up to about {total}", names.join(", ")));
    }
    for (module, dir) in missing {
        let took = build(module, &dir, durations.estimate_s(module)).await?;
        steps.say(&format!("built {} in {}", module.name, spoken(took)));
        durations.record(module, took)?;
    }
    Ok(())
}

/// Returns the path of a built program, such as `helm` or `kubectl`. If one of the `CLIENTS` is not built, returns the
/// installed one, so that nothing has to be built for an existing cluster.
///
/// # Errors
/// No module contains the program, or it is not built yet.
pub fn program(name: &str) -> Result<PathBuf> {
    let module = all().find(|module| module.programs.contains(&name));
    let module = module.with_context(|| format!("{name} is none of the tools"))?;
    let built = module_dir(module)?.join("bin").join(name);
    if built.exists() {
        return Ok(built);
    }
    let installed = if CLIENTS.contains(&name) { installed(name) } else { None };
    installed.with_context(|| format!("{name} is not built yet: run `cargo run -p e2e -- tools`"))
}

/// Returns the folder with the source of a Go module, in the version that one of the modules of `e2e/tools` pins. It is
/// downloaded if it is missing.
///
/// # Errors
/// The module does not pin it, or it cannot be downloaded.
pub async fn source_of(pinned_by: &str, module: &str) -> Result<PathBuf> {
    let mut command = Command::new("go");
    command.args(["mod", "download", "-json", module]);
    command.current_dir(paths::checkout_dir().join("e2e/tools").join(pinned_by));
    let printed = command::output(command, DOWNLOAD_LIMIT).await?;
    let described: serde_json::Value = serde_json::from_str(&printed)?;
    let folder = described["Dir"].as_str().with_context(|| format!("{module} has no folder: {printed}"))?;
    Ok(PathBuf::from(folder))
}

/// Returns the path of a program on the search path.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn all() -> impl Iterator<Item = &'static Module> {
    MODULES.iter().chain(&OTHERS)
}

fn missing(modules: &'static [Module]) -> Result<Vec<(&'static Module, PathBuf)>> {
    let all = modules.iter().map(|module| Ok((module, module_dir(module)?)));
    all.filter(|entry| entry.as_ref().map_or(true, |(_, dir)| !dir.exists())).collect()
}

fn tools_dir() -> PathBuf {
    paths::cache_dir().join("tools")
}

fn source_dir(module: &Module) -> PathBuf {
    paths::checkout_dir().join("e2e/tools").join(module.name)
}

fn module_dir(module: &Module) -> Result<PathBuf> {
    let source = source_dir(module);
    let key = key(module, &source).with_context(|| format!("reading {}", source.display()))?;
    Ok(tools_dir().join(format!("{}-{key}", module.name)))
}

/// Returns a hash over every file of the module and the flags with which it is built.
fn key(module: &Module, source: &Path) -> io::Result<String> {
    let mut files: Vec<_> =
        fs::read_dir(source)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "mod" || end == "sum" || end == "go"));
    files.sort();
    let mut hash = Sha256::new();
    for part in [module.target, module.tags, module.ldflags] {
        hash.update(part);
        hash.update([0]);
    }
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(fs::read(&file)?);
    }
    Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

async fn build(module: &Module, dir: &Path, estimate_s: u64) -> Result<Duration> {
    let started = Instant::now();
    let unfinished = tempfile::Builder::new().prefix(".building-").tempdir_in(tools_dir())?;
    let bin = unfinished.path().join("bin");
    fs::create_dir(&bin)?;
    compile(module, &bin, estimate_s).await.with_context(|| format!("building {}", module.name))?;
    if module.name == "etcd" {
        // `go build` names the program after the last part of the package's path.
        fs::rename(bin.join("server"), bin.join("etcd"))?;
    }
    for program in module.programs {
        if !bin.join(program).exists() {
            bail!("the module {} built without {program}", module.name);
        }
    }
    fs::rename(unfinished.keep(), dir)?;
    Ok(started.elapsed())
}

async fn compile(module: &Module, bin: &Path, estimate_s: u64) -> Result<()> {
    let log_path = tools_dir().join(format!("{}.log", module.name));
    let mut command = Command::new("go");
    command.current_dir(source_dir(module)).env("CGO_ENABLED", "0");
    // -v prints one line per compiled package. `go build` shows no other progress.
    command.args(["build", "-v", "-trimpath", "-mod=readonly", "-tags", module.tags]);
    command.arg("-ldflags").arg(format!("-s -w {}", module.ldflags));
    command.arg("-o").arg(format!("{}/", bin.display())).arg(module.target);
    command.stdin(Stdio::null()).stdout(File::create(&log_path)?).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("`go` cannot be started: install Go 1.26 or newer")?;
    let lines = child.stderr.take().context("no standard error")?;
    let mut said = Vec::new();
    let followed = async {
        follow(module.name, estimate_s, BufReader::new(lines), &mut said).await;
        child.wait().await
    };
    let status = tokio::time::timeout(BUILD_LIMIT, followed).await.context("the build did not end")??;
    if !status.success() {
        bail!("go build: {status}\n{}", command::last_lines(&said.join("\n"), 30).join("\n"));
    }
    Ok(())
}

/// Shows the progress of a build until it closes `output`. Adds the lines that it prints to `said`.
async fn follow(
    name: &str,
    estimate_s: u64,
    output: BufReader<tokio::process::ChildStderr>,
    said: &mut Vec<String>,
) {
    let bar = bar(name, estimate_s);
    let started = Instant::now();
    let mut lines = output.lines();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => {
                    bar.set_message(line.clone());
                    said.push(line);
                }
                _ => break,
            },
            _ = tick.tick() => show(&bar, name, started.elapsed(), estimate_s, said.len()),
        }
    }
    bar.finish_and_clear();
}

fn bar(name: &str, estimate_s: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {elapsed} {wide_msg}");
    let bar = ProgressBar::new(estimate_s).with_prefix(name.to_owned());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The bar advances with time, not with packages: most packages take almost no time, and linking takes a quarter of the
/// total.
fn show(bar: &ProgressBar, name: &str, elapsed: Duration, estimate_s: u64, packages: usize) {
    bar.set_position(elapsed.as_secs().min(estimate_s));
    let seconds = elapsed.as_secs();
    if bar.is_hidden() && seconds > 0 && seconds.is_multiple_of(30) {
        let about = spoken(Duration::from_secs(estimate_s));
        println!("           {name}: {} of about {about}, {packages} packages", spoken(elapsed));
    }
}

/// How long the build of each module took on this machine, for the next estimate.
#[derive(Debug, Default)]
struct Durations(BTreeMap<String, u64>);

impl Durations {
    fn path() -> PathBuf {
        tools_dir().join("durations.json")
    }

    /// Reads the recorded times. A missing or unreadable file only makes the estimates less exact.
    fn read() -> Self {
        let text = fs::read(Self::path()).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    fn estimate_s(&self, module: &Module) -> u64 {
        self.0.get(module.name).copied().unwrap_or(module.cold_build_s)
    }

    /// Records the duration of a build. With a warm Go cache a build takes seconds, which says nothing about the next
    /// cold build; such a duration is not recorded.
    fn record(&mut self, module: &Module, took: Duration) -> Result<()> {
        if took.as_secs() * 4 < module.cold_build_s {
            return Ok(());
        }
        self.0.insert(module.name.to_owned(), took.as_secs());
        fs::write(Self::path(), serde_json::to_vec_pretty(&self.0)?).context("recording build times")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_the_checkout_is_pinned_and_keyed() {
        for module in all() {
            assert!(source_dir(module).join("go.sum").exists(), "{} has no go.sum", module.name);
            assert_eq!(key(module, &source_dir(module)).unwrap().len(), 12);
        }
    }

    #[test]
    fn the_key_follows_files_and_flags() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("go.mod"), "module a").unwrap();
        let plain = module("a", ".", &["a"], 1);
        let first = key(&plain, dir.path()).unwrap();
        assert_eq!(first, key(&plain, dir.path()).unwrap());
        let tagged = Module { tags: "x", ..module("a", ".", &["a"], 1) };
        assert_ne!(first, key(&tagged, dir.path()).unwrap());
        fs::write(dir.path().join("main.go"), "package main").unwrap();
        assert_ne!(first, key(&plain, dir.path()).unwrap());
    }

    #[test]
    fn clients_are_built_or_installed() {
        for client in CLIENTS {
            assert!(MODULES.iter().any(|module| module.programs.contains(&client)), "{client}");
        }
        assert!(installed("sh").is_some());
        assert_eq!(installed("a-program-that-nobody-has"), None);
    }

    #[test]
    fn an_unknown_program_is_refused() {
        assert!(program("kubeadm").unwrap_err().to_string().contains("none of the tools"));
    }
}
