//! Reads small files that people and the platform provide. Only regular files are read: a named pipe would block the
//! reader until somebody writes to it, and a device may have no end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file.
///
/// # Errors
/// The file is not a regular file, or cannot be opened.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Without this flag, opening a named pipe waits for a writer. For a regular file it has no effect.
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let what = if kind.is_dir() { "a directory" } else { "a pipe, a socket or a device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// The file is not a regular file, is larger, or cannot be read.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_opened(open(OpenOptions::new().read(true), path)?, bytes_max)
}

/// Reads an opened file of at most `bytes_max` bytes.
///
/// # Errors
/// The file is larger, or cannot be read.
pub fn read_opened(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let fault = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, fault));
    }
    Ok(bytes)
}

/// Reads a file of at most `bytes_max` bytes that is text.
///
/// # Errors
/// As [`read`], or the file is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "12345678").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_bits_truncate(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("bytes"), [0xff]).unwrap();
        let said = |name: &str, max| read_text(&at(name), max).map_err(|fault| fault.to_string());
        assert_eq!(said("file", 8).unwrap(), "12345678");
        assert_eq!(said("link", 8).unwrap(), "12345678");
        assert_eq!(said("file", 7).unwrap_err(), "it has more than 7 bytes");
        assert_eq!(said("pipe", 8).unwrap_err(), "it is a pipe, a socket or a device, not a regular file");
        assert_eq!(said(".", 8).unwrap_err(), "it is a directory, not a regular file");
        assert_eq!(said("bytes", 8).unwrap_err(), "it is not UTF-8");
        assert!(said("socket", 8).is_err() && said("nothing", 8).is_err());
        assert!(read(Path::new("/dev/zero"), 8).is_err());
    }
}
