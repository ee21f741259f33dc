//! Libraries loaded before the C library that falsify disk operations: the controls of the campaigns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};

/// Every sync succeeds and does nothing.
const NO_SYNC: &str = "
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, long from, long len, unsigned flags) { (void)fd; (void)from; (void)len; (void)flags; return 0; }
";

/// C code that makes a write to a file write only half: on the nth call, or with 0 on every call. The write returns the
/// number of bytes that it wrote.
const SHORT_WRITE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static size_t cut(int fd, size_t length) {
    static long writes;
    struct stat status;
    if (length < 2 || fstat(fd, &status) || !S_ISREG(status.st_mode)) return length;
    const char *nth = getenv("SHORT_WRITE_NTH");
    long n = nth ? atol(nth) : 0;
    long now = __sync_add_and_fetch(&writes, 1);
    return n == 0 || n == now ? length / 2 : length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return real(fd, bytes, cut(fd, length));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, bytes, cut(fd, length), offset);
}
"#;

/// Environment variables that preload a library which halves the nth write, or with 0 every write.
pub(super) fn short_write(place: &Path, nth: u64) -> Result<Vec<(String, String)>> {
    static COMPILING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = COMPILING.lock();
    let library = place.join("short_write.so");
    let library = if library.exists() { library } else { compile(place, "short_write", SHORT_WRITE)? };
    let nth = ("SHORT_WRITE_NTH".to_owned(), nth.to_string());
    Ok(vec![("LD_PRELOAD".to_owned(), library.display().to_string()), nth])
}

/// Compiles the library whose syncs do nothing.
pub(super) fn no_sync(place: &Path) -> Result<PathBuf> {
    compile(place, "no_sync", NO_SYNC)
}

/// Compiles a library into a folder; returns its path, for `LD_PRELOAD`.
pub(super) fn compile(place: &Path, name: &str, code: &str) -> Result<PathBuf> {
    let (source, library) = (place.join(format!("{name}.c")), place.join(format!("{name}.so")));
    fs::write(&source, code)?;
    let output = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .output();
    let output = output.context("`cc` cannot be started")?;
    if !output.status.success() {
        bail!("`cc` does not compile {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(library)
}
