//! A lock between processes. It is held through an open file, so the kernel releases it however the process ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits at most `limit` for the lock. If it is taken, prints once that `other` holds it.
    ///
    /// # Errors
    /// The file cannot be created, or the lock was not free in time.
    pub(crate) async fn acquire(path: &Path, limit: Duration, other: &str) -> Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let file = File::create(path).with_context(|| format!("lock file {}", path.display()))?;
        let started = Instant::now();
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if started.elapsed() < limit => {}
                Err(TryLockError::WouldBlock) => bail!("{other} still holds {}", path.display()),
                Err(TryLockError::Error(error)) => return Err(error).context("locking"),
            }
            if !said {
                eprintln!("waiting for {other}");
                said = true;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_and_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::acquire(&path, Duration::ZERO, "the first").await.unwrap();
        let refused = Lock::acquire(&path, Duration::from_millis(10), "the first").await;
        assert!(refused.unwrap_err().to_string().contains("the first still holds"));
        drop(first);
        Lock::acquire(&path, Duration::ZERO, "the first").await.unwrap();
    }
}
