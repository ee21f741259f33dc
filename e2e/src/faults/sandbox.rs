//! A sandbox that leaves nothing behind: separate mounts, processes and memory.
//!
//! The campaign runs again as process 1 of a new PID and mount namespace. When it ends, for any reason, the kernel ends
//! every engine it started, then unmounts what it mounted; the loop devices go with the mounts.

use std::env;
use std::fs;
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

/// Environment variable with the folder of a campaign that runs inside the sandbox; only this module sets it.
const INSIDE: &str = "MEMORYENGINE_FAULTS_INSIDE";
/// Prefix of the folders and images of campaigns. The process id of the campaign outside the sandbox follows it.
const NAME: &str = "memoryengine-faults-";
const IMAGES: &str = "images";
/// Packages of the programs that the campaigns run.
const PACKAGES: [Package; 5] = [
    ("xfsprogs", &["/usr/sbin/xfs_io"]),
    ("e2fsprogs", &["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]),
    ("strace", &["/usr/bin/strace"]),
    ("gcc", &["/usr/bin/cc"]),
    ("libc6-dev", &["/usr/include/stdio.h"]),
];

/// The working folder, when this process runs inside the sandbox.
pub(super) fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

/// Path of the image for the log with this number.
pub(super) fn image(place: &Path, log: u64) -> PathBuf {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Contains the campaign's name, so that its loop device can be identified.
    place.join(IMAGES).join(format!("{name}-{log}"))
}

/// Runs this program with the same arguments inside the sandbox.
///
/// # Errors
/// Not root, a package is missing, or the namespaces cannot be created.
pub(super) async fn enter(steps: &Steps) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("creating file systems and namespaces requires root");
    }
    packages::ensure(&PACKAGES, steps).await?;
    sweep();
    let place = tempfile::Builder::new().prefix(&format!("{NAME}{}-", std::process::id())).tempdir()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = spawn(place.path())?;
    // Take the pipe from the child: waiting on the child would close it.
    let _pipe = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let Some(status) = status else {
        // The kernel kills process 1 together with `unshare`, and with it everything else inside.
        child.kill().await?;
        drop(place);
        sweep();
        eprintln!("stopped");
        return Ok(ExitCode::from(130));
    };
    Ok(code(status))
}

/// Detaches the loop devices and removes the folders of finished campaigns. The kernel frees a loop device with its
/// mount, except in rare cases when the namespace ends in the middle of an operation. A killed process cannot remove
/// its folder.
fn sweep() {
    let own = std::process::id();
    let is_over = |name: &str| {
        let pid = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next()?.parse().ok());
        pid.is_some_and(|pid: u32| pid == own || !Path::new(&format!("/proc/{pid}")).exists())
    };
    for device in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        let image = Path::new(file.trim_end()).file_name().map(|name| name.to_string_lossy().into_owned());
        if image.is_some_and(|image| is_over(&image)) {
            let path = Path::new("/dev").join(device.file_name());
            // The device may have been detached in the meantime.
            let _gone = std::process::Command::new("losetup").arg("-d").arg(path).status();
        }
    }
    for folder in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        if is_over(&folder.file_name().to_string_lossy()) {
            // Removes the folder only if it is empty. Its contents were in memory.
            let _kept = fs::remove_dir(folder.path());
        }
    }
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
    // The process inside detects through this pipe that the process outside was killed.
    command.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("`unshare` cannot be started")
}

fn code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Mounts a tmpfs on `place`. From then on, this process ends when the process outside the sandbox ends.
///
/// # Errors
/// The tmpfs cannot be mounted.
pub(super) fn settle(place: &Path) -> Result<()> {
    thread::spawn(|| {
        let _closed = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(130);
    });
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", place, "tmpfs", flags, Some(c"mode=700,size=3g")).context("mounting a tmpfs")?;
    // The images get a separate mount. If a volume were mounted on the tmpfs that holds the volume's own image, the
    // volume would never be freed when the namespace ends, because the kernel removes such mounts from the outside in.
    let images = place.join(IMAGES);
    fs::create_dir(&images)?;
    mount("tmpfs", &images, "tmpfs", flags, Some(c"mode=700,size=3g")).context("mounting a tmpfs for images")
}

/// Returns the engine's binary: `given`, or else the binary of this checkout, which is built now.
///
/// # Errors
/// The binary does not build, or does not exist.
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
    Ok(beside.parent().context("the program's path has no parent")?.join("memory-engine"))
}
