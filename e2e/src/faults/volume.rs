//! A file system of its own on a loop device, and the end of its power.
//!
//! The shutdown ioctl (`xfs_io -x -c shutdown`, which XFS and ext4 share) with the log not flushed stops every write
//! from one moment on: what was only in the page cache or in the file system's own log buffer is gone, what a sync had
//! returned for is on the device. The next mount replays the journal, as after a real cut.
//!
//! With one difference: a sync that runs at the same time as the ioctl may return success without having done its work.
//! A loop of `pwrite` and `fdatasync` shows it on both file systems. Real power takes the answer with it, so
//! answers from that moment count as none. What is asked for once the ioctl has returned must not be acknowledged.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustix::mount::{UnmountFlags, unmount};

/// What lies on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileSystem {
    /// ext4 in its default mode (ordered).
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    pub(super) fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }
}

/// The smallest XFS there is has 300 MiB. The image is sparse: it costs what is written to it.
const IMAGE_BYTES: u64 = 512 << 20;

/// An image with a file system, mounted below a directory.
#[derive(Debug)]
pub(super) struct Volume {
    image: PathBuf,
    mounted_at: PathBuf,
    is_mounted: bool,
}

impl Volume {
    /// Makes the image, the file system and the mount, in a folder that is this volume's own. The image must not lie there.
    pub(super) fn make(place: &Path, image: PathBuf, kind: FileSystem) -> Result<Volume> {
        let mounted_at = place.join("volume");
        std::fs::create_dir_all(&mounted_at)?;
        std::fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        run(&format!("mkfs.{}", kind.name()), &[OsStr::new("-q"), image.as_os_str()])?;
        let mut volume = Volume { image, mounted_at, is_mounted: false };
        volume.mount()?;
        Ok(volume)
    }

    pub(super) fn path(&self) -> &Path {
        &self.mounted_at
    }

    /// Mounts; replays the journal after a cut. The loop device goes with the mount.
    pub(super) fn mount(&mut self) -> Result<()> {
        let words =
            [OsStr::new("-o"), OsStr::new("loop"), self.image.as_os_str(), self.mounted_at.as_os_str()];
        run("mount", &words)?;
        self.is_mounted = true;
        Ok(())
    }

    /// From when this returns on nothing reaches the device any more.
    pub(super) fn cut(&self) -> Result<()> {
        run(
            "xfs_io",
            &["-x", "-c", "shutdown"]
                .map(OsStr::new)
                .into_iter()
                .chain([self.path().as_os_str()])
                .collect::<Vec<_>>(),
        )
    }

    /// Unmounts; whatever used it has to be gone, and may still be going.
    pub(super) fn unmount(&mut self) -> Result<()> {
        for _ in 0..500 {
            match unmount(&self.mounted_at, UnmountFlags::empty()) {
                Ok(()) => {
                    self.is_mounted = false;
                    return Ok(());
                }
                Err(rustix::io::Errno::BUSY) => sleep(Duration::from_millis(10)),
                Err(fault) => return Err(fault).context("unmounting the volume"),
            }
        }
        bail!("the volume is in use for 5 s after the engine was killed")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: what still holds it goes with this process's namespace.
            let _gone = unmount(&self.mounted_at, UnmountFlags::DETACH);
        }
        let _gone = std::fs::remove_file(&self.image);
    }
}

fn run(program: &str, arguments: &[&OsStr]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("`{program}` cannot be started"))?;
    if !output.status.success() {
        bail!("`{program}`: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
