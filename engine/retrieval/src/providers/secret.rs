//! The API key of a service: read from a file, sent in a header, never printed.

use std::io;
use std::path::Path;

use engine_core::file_mode::ModeFault;
use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use service::secret_file::{self, Exposed};
use thiserror::Error;

/// Maximum size of the key file, bytes. A key has a few hundred bytes at most.
const KEY_BYTES_MAX: u64 = 4_096;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum BadKey {
    #[error("cannot read the key in {0:?}: {1}")]
    Read(std::path::PathBuf, io::Error),
    #[error("the file {0:?} does not contain a key: one line of visible ASCII is expected")]
    Form(std::path::PathBuf),
}

/// Reads the key from a file. Also says why somebody else can read or change the file, if that is not refused.
pub(super) fn read(path: &Path, exposed: Exposed) -> Result<(SecretString, Option<ModeFault>), BadKey> {
    let unread = |fault| BadKey::Read(path.to_owned(), fault);
    let (bytes, fault) = secret_file::read(path, KEY_BYTES_MAX, exposed).map_err(unread)?;
    let text = String::from_utf8(bytes).map(SecretString::from).map_err(|_| BadKey::Form(path.to_owned()))?;
    let key = SecretString::from(text.expose_secret().trim());
    let is_key =
        !key.expose_secret().is_empty() && key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok((key, fault)) } else { Err(BadKey::Form(path.to_owned())) }
}

/// The HTTP header with the key. It is marked sensitive, so that debug output does not print it.
pub(super) fn header(key: &SecretString) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
        .expect("visible ASCII, as checked when the key was read, is a valid header");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_key_is_read_and_never_shown() {
        let (_directory, path) = written("sk-secret\n", 0o440);
        let (key, fault) = read(&path, Exposed::Refused).unwrap();
        assert_eq!(fault, None);
        assert_eq!(key.expose_secret(), "sk-secret");
        let shown = format!("{key:?} {:?}", header(&key));
        assert!(!shown.contains("secret") || shown.contains("REDACTED") && !shown.contains("sk-"), "{shown}");
        assert_eq!(header(&key), "Bearer sk-secret");
    }

    #[test]
    fn what_everybody_may_read_or_is_no_key_is_refused() {
        let (_directory, path) = written("sk-secret", 0o444);
        assert!(matches!(read(&path, Exposed::Refused), Err(BadKey::Read(..))));
        let (_, fault) = read(&path, Exposed::Reported).unwrap();
        assert_eq!(fault, Some(ModeFault::ReadableByAll), "it is used, and said");
        for text in ["", "  \n", "two words", "zwei\nzeilen", "ключ"] {
            let (_directory, path) = written(text, 0o400);
            let fault = read(&path, Exposed::Reported).unwrap_err();
            assert!(matches!(fault, BadKey::Form(_)), "{text:?}");
            assert!(text.trim().is_empty() || !fault.to_string().contains(text));
        }
        assert!(matches!(read(Path::new("/nowhere/key"), Exposed::Reported), Err(BadKey::Read(..))));
        let (directory, path) = written("sk-secret", 0o400);
        let socket = directory.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(read(&socket, Exposed::Reported), Err(BadKey::Read(..))));
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success() && read(&path, Exposed::Reported).is_ok());
        assert!(
            matches!(read(&pipe, Exposed::Reported), Err(BadKey::Read(..))),
            "reading it would wait for a writer"
        );
    }
}
