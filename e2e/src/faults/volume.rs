//! A file system on a loop device whose power can be cut.
//!
//! The shutdown ioctl (`xfs_io -x -c shutdown`, supported by XFS and ext4), used without flushing the log, stops all
//! writes from one moment on. Data that was only in the page cache or in the file system's own log buffer is lost; data
//! for which a sync had returned is on the device. The next mount replays the journal, as after a real power loss.
//!
//! There is one difference: a sync that runs at the same time as the ioctl may return success without having done its
//! work. A loop of `pwrite` and `fdatasync` shows this on both file systems. In a real power loss the client would not
//! receive the response either, so responses from that moment on are not counted. Requests sent after the ioctl has
//! returned must not be acknowledged.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustix::mount::{UnmountFlags, unmount};

/// File system on the device.
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

/// XFS needs at least 300 MiB. The image is sparse: it uses only the space that is written.
const IMAGE_BYTES: u64 = 512 << 20;

/// An image with a file system, mounted below a directory.
#[derive(Debug)]
pub(super) struct Volume {
    image: PathBuf,
    mounted_at: PathBuf,
    is_mounted: bool,
}

impl Volume {
    /// Creates the file `image` with a file system of this `kind`, and mounts it below `place`, this volume's own
    /// folder. `image` must not lie in that folder.
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

    /// Mounts the volume. After a cut, the mount replays the journal. The kernel frees the loop device with the mount.
    pub(super) fn mount(&mut self) -> Result<()> {
        let words =
            [OsStr::new("-o"), OsStr::new("loop"), self.image.as_os_str(), self.mounted_at.as_os_str()];
        run("mount", &words)?;
        self.is_mounted = true;
        Ok(())
    }

    /// Cuts the power. Once this returns, no write reaches the device any more.
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

    /// Unmounts the volume. All processes that use it must have ended or be about to end.
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
        bail!("the volume is still in use 5 s after the engine was killed")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazy unmount: remaining references end with the namespace of this process.
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
