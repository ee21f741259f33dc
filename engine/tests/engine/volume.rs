//! Tests on a volume that is really full: a small tmpfs. Mounting it needs root.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::process::{Running, eventually, verify};

struct SmallVolume(tempfile::TempDir);

impl SmallVolume {
    /// Mounts a volume of this size; `None` if this user may not mount.
    fn mounted(bytes: u64) -> Option<SmallVolume> {
        let directory = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        match mount("memory", directory.path(), "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(SmallVolume(directory)),
            Err(fault) => {
                println!("skipped: a volume to fill up needs mount(2): {fault}");
                None
            }
        }
    }

    fn grow(&self, bytes: u64) {
        let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        mount_remount(self.path(), MountFlags::empty(), options.as_c_str()).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).unwrap();
    }
}

fn check_full(engine: &Running, acknowledged: usize) {
    let refused = engine.save(&large());
    assert_eq!((refused.status, refused.code().as_str()), (503, "STORAGE_FULL"));
    assert!(refused.has_header("retry-after: "));
    let health = engine.health();
    assert_eq!(health["storage"]["writable"], false);
    assert_eq!(health["storage"]["reason"], "volume_full");
    assert_eq!(engine.admin("/readyz").status, 200);
    assert_eq!(engine.total("q=filler"), acknowledged as u64, "reads continue");
}

fn large() -> String {
    "filler ".repeat(4000)
}

fn check_heals(engine: &Running) {
    let grown = Instant::now();
    eventually("writes work again", || engine.save("capacity again").status == 201);
    assert!(grown.elapsed() < Duration::from_secs(5));
    eventually("the condition is reported", || {
        engine.health()["status"] == "ok" && engine.health()["projection"]["lag"] == 0
    });
}

#[test]
fn writes_stop_when_it_is_full_and_resume_when_it_has_grown() {
    let Some(volume) = SmallVolume::mounted(8 << 20) else { return };
    let engine = Running::start(volume.path());
    let mut acknowledged = 0;
    while engine.save(&large()).status == 201 {
        acknowledged += 1;
        assert!(acknowledged < 1000, "the volume never fills up");
    }
    assert!(acknowledged > 10);
    check_full(&engine, acknowledged);
    engine.kill();
    let engine = Running::start(volume.path());
    check_full(&engine, acknowledged);
    volume.grow(32 << 20);
    check_heals(&engine);
    assert!(engine.terminate().success());
    assert_eq!(verify(volume.path()).0, Some(0));
}

/// Another file takes all remaining bytes, so neither the log nor SQLite can write.
#[test]
fn a_volume_somebody_else_filled_keeps_what_was_acknowledged() {
    let Some(volume) = SmallVolume::mounted(8 << 20) else { return };
    let engine = Running::start(volume.path());
    assert_eq!(engine.save("filler one").status, 201);
    let ballast = volume.path().join("ballast");
    let full = fs::write(&ballast, vec![1; 16 << 20]);
    assert!(full.is_err(), "the volume is full to the last byte");
    check_full(&engine, 1);
    engine.kill();
    let engine = Running::start(volume.path());
    check_full(&engine, 1);
    assert!(engine.terminate().success());
    // Stopping the engine may have freed some bytes, so these are filled again.
    let mut more = fs::OpenOptions::new().append(true).open(&ballast).unwrap();
    while more.write(&[1; 512]).is_ok() {}
    drop(more);
    let engine = Running::start(volume.path());
    check_full(&engine, 1);
    fs::remove_file(&ballast).unwrap();
    check_heals(&engine);
    // After a clean stop, SQLite leaves no files whose space a start could reuse.
    assert!(engine.terminate().success());
    assert!(fs::write(&ballast, vec![1; 16 << 20]).is_err());
    let engine = Running::start(volume.path());
    check_full(&engine, 1);
    fs::remove_file(&ballast).unwrap();
    check_heals(&engine);
}
