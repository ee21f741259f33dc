//! Kills a process at one of its calls of the system: a preloaded library counts them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::preload;

/// C code that counts the calls which change files or send bytes, in all threads, and kills the process before the one
/// at which the counter in a shared file reaches 0. A counter of 0 counts nothing.
const KILL_AT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile long *left;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("KILL_COUNTER");
    int fd = path ? open(path, O_RDWR) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) left = page;
}

static void step(void) {
    if (!left || *left <= 0 || __sync_sub_and_fetch(left, 1) != 0) return;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define COUNTED(type, name, parameters, arguments) \
    type name parameters { \
        static type (*real) parameters; \
        step(); \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        return real arguments; \
    }

COUNTED(ssize_t, write, (int fd, const void *bytes, size_t length), (fd, bytes, length))
COUNTED(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
COUNTED(ssize_t, pwrite64, (int fd, const void *bytes, size_t length, off64_t at), (fd, bytes, length, at))
COUNTED(ssize_t, send, (int fd, const void *bytes, size_t length, int flags), (fd, bytes, length, flags))
COUNTED(int, ftruncate64, (int fd, off64_t length), (fd, length))
COUNTED(int, fsync, (int fd), (fd))
COUNTED(int, fdatasync, (int fd), (fd))
COUNTED(int, rename, (const char *from, const char *to), (from, to))
COUNTED(int, link, (const char *from, const char *to), (from, to))
COUNTED(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
COUNTED(int, unlink, (const char *path), (path))
COUNTED(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
COUNTED(int, mkdir, (const char *path, mode_t mode), (path, mode))
"#;

/// Compiles the library into a folder; returns its path.
///
/// # Errors
/// The C compiler fails.
pub(super) fn compile(place: &Path) -> Result<PathBuf> {
    preload::compile(place, "kill_at", KILL_AT)
}

/// The counter of one process.
#[derive(Debug, Clone)]
pub(super) struct Fuse {
    library: PathBuf,
    counter: PathBuf,
}

impl Fuse {
    /// A counter that counts nothing yet.
    pub(super) fn new(library: &Path, counter: &Path) -> Result<Fuse> {
        fs::write(counter, 0_i64.to_le_bytes())?;
        Ok(Fuse { library: library.to_owned(), counter: counter.to_owned() })
    }

    /// What a process needs in its environment.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".to_owned(), self.library.display().to_string()),
            ("KILL_COUNTER".to_owned(), self.counter.display().to_string()),
        ]
    }

    /// The process is killed before the call with this number, counted from now on. With 0 it is not.
    pub(super) fn arm(&self, calls: u64) -> Result<()> {
        // Not replaced or truncated: the process has mapped the file.
        let file = OpenOptions::new().write(true).open(&self.counter)?;
        Ok(file.write_all_at(&i64::try_from(calls)?.to_le_bytes(), 0)?)
    }

    /// How many calls were left; 0 if the process was killed.
    pub(super) fn left(&self) -> Result<u64> {
        let bytes = fs::read(&self.counter)?;
        let number = i64::from_le_bytes(bytes.as_slice().try_into()?);
        Ok(u64::try_from(number).unwrap_or(0))
    }
}
