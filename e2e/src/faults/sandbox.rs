//! A place that leaves nothing behind: own mounts, own processes, own memory.
//!
//! The campaign runs again as process 1 of a new PID and mount namespace. When it ends, however that happens, the kernel
//! ends every engine it started, then unmounts what it mounted; the loop devices go with the mounts.

use std::env;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, mount};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::packages::{self, Package};
use crate::paths;
use crate::steps::Steps;

/// Names the folder of a campaign that runs inside; only this module sets it.
const INSIDE: &str = "MEMORYENGINE_FAULTS_INSIDE";
/// What the campaigns run.
const PACKAGES: [Package; 5] = [
    ("xfsprogs", &["/usr/sbin/xfs_io"]),
    ("e2fsprogs", &["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]),
    ("strace", &["/usr/bin/strace"]),
    ("gcc", &["/usr/bin/cc"]),
    ("libc6-dev", &["/usr/include/stdio.h"]),
];

/// The folder to work in, when this process is the one inside.
pub(super) fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs this program with the same arguments inside.
///
/// # Errors
/// Not root, a package is missing, or the namespaces cannot be made.
pub(super) async fn enter(steps: &Steps) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("file systems and namespaces of one's own need root");
    }
    packages::ensure(&PACKAGES, steps).await?;
    let place = tempfile::Builder::new().prefix("memoryengine-faults-").tempdir()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = spawn(place.path())?;
    // Waiting would close it.
    let _pipe = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let Some(status) = status else {
        // `unshare` is told by the kernel to take process 1 with it, and that takes the rest.
        child.kill().await?;
        eprintln!("stopped");
        return Ok(ExitCode::from(130));
    };
    Ok(code(status))
}

fn spawn(place: &Path) -> Result<Child> {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
        "--",
    ]);
    command.arg(env::current_exe()?).args(env::args_os().skip(1)).env(INSIDE, place);
    // The pipe is how the one inside notices that the one outside was killed.
    command.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("`unshare` cannot be started")
}

fn code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Puts memory under the folder, and ends this process when the one outside ends.
///
/// # Errors
/// The memory cannot be mounted.
pub(super) fn settle(place: &Path) -> Result<()> {
    thread::spawn(|| {
        let _closed = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(130);
    });
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", place, "tmpfs", flags, Some(c"mode=700,size=3g")).context("mounting memory")
}

/// The engine to test: the one given, else this checkout's, built now.
///
/// # Errors
/// It does not build, or there is none.
pub(super) fn engine(given: Option<PathBuf>) -> Result<PathBuf> {
    let program = match given {
        Some(program) => program,
        None => built()?,
    };
    if !program.is_file() {
        bail!("there is no engine at {}", program.display());
    }
    Ok(program)
}

fn built() -> Result<PathBuf> {
    let mut cargo = std::process::Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--locked", "--package", "memory-engine"])
        .current_dir(paths::checkout_dir());
    let status = cargo.stdin(Stdio::null()).status().context("`cargo` cannot be started")?;
    if !status.success() {
        bail!("the engine does not build");
    }
    let beside = env::current_exe()?;
    Ok(beside.parent().context("this program is nowhere")?.join("memory-engine"))
}
