//! Keys in files, which the configuration names. They are read again every two seconds.

use std::io;
use std::path::Path;
use std::sync::Arc;

use engine_core::access::{Caller, CallerKind, KeyRecord, Projects, is_hash, stored_hash};
use engine_core::configuration::{AccessKey, EVERY_PROJECT};
use engine_core::digest::Hash;
use engine_core::file_mode::ModeFault;
use engine_core::words::normal_form;
use service::secret_file::{self, Exposed};

/// Maximum size of a file with a key, bytes. A hash is the longest content.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// The projects of a caller, in normal form.
pub(super) fn projects(names: &[String]) -> Projects {
    match names {
        [only] if only == EVERY_PROJECT => Projects::All,
        names => Projects::Only(names.iter().map(|name| normal_form(name).into_owned()).collect()),
    }
}

/// The records of a key, and what is wrong with its files. A file that cannot be read has no key: a key that was taken
/// away must not stay accepted.
pub(super) fn records(key: &AccessKey, exposed: Exposed) -> (Vec<KeyRecord>, Vec<String>) {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    let caller = Arc::new(Caller {
        name: key.name.clone(),
        kind: CallerKind::Key,
        scopes: key.scopes.clone(),
        projects: projects(&key.projects),
    });
    // The configuration was checked.
    let Ok(expires) = key.expiry() else { return (records, faults) };
    for (place, path) in key.files.iter().enumerate() {
        match hash_in(Path::new(path), exposed) {
            Ok((hash, exposed)) => {
                records.push(KeyRecord { hash, caller: Arc::clone(&caller), expires });
                faults.extend(
                    exposed.map(|fault| {
                        format!("the key {:?} is used from {path:?}, although {fault}", key.name)
                    }),
                );
            }
            // The second file is there during a rotation only.
            Err(fault) if place > 0 && fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => {
                faults.push(format!("the key {:?} cannot be read from {path:?}: {fault}", key.name));
            }
        }
    }
    (records, faults)
}

/// The hash of the key in a file, and why somebody else can read the key or change it. A file with a hash is no secret,
/// but who can change it can let in another key.
///
/// # Errors
/// The file cannot be read, or has no key, or is exposed and such a file is refused. The error has no part of the
/// content.
pub(super) fn hash_in(path: &Path, exposed: Exposed) -> io::Result<(Hash, Option<ModeFault>)> {
    let invalid = |fault: &'static str| io::Error::new(io::ErrorKind::InvalidData, fault);
    let (content, fault) = secret_file::read(path, FILE_BYTES_MAX, Exposed::Reported)?;
    let content = std::str::from_utf8(&content).map_err(|_| invalid("it is not UTF-8"))?;
    let hash = stored_hash(content).map_err(invalid)?;
    let is_readable = matches!(fault, Some(ModeFault::ReadableByAll | ModeFault::ReadableByGroup));
    let fault = fault.filter(|_| !(is_readable && is_hash(content)));
    match (exposed, fault) {
        (Exposed::Refused, Some(fault)) => Err(io::Error::new(io::ErrorKind::PermissionDenied, fault)),
        (_, fault) => Ok((hash, fault)),
    }
}

/// The hash in a file that is there during a rotation only, and what is wrong with it.
pub(super) fn optional_hash(path: Option<&str>, exposed: Exposed) -> (Option<Hash>, Option<String>) {
    let Some(path) = path else { return (None, None) };
    match hash_in(Path::new(path), exposed) {
        Ok((hash, fault)) => (Some(hash), fault.map(|fault| format!("{path} is used, although {fault}"))),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => (None, None),
        Err(fault) => (None, Some(format!("{path} cannot be read: {fault}"))),
    }
}

#[cfg(test)]
mod tests {
    use engine_core::access::{ApiKey, KEY_RANDOM_BYTES, Scope};

    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &str, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn both_files_of_a_key_are_accepted_and_a_missing_second_one_is_no_fault() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let key = |byte| ApiKey::of_random(&[byte; KEY_RANDOM_BYTES]);
        let named = AccessKey {
            name: "agent-a".into(),
            files: vec![at("token"), at("token.previous")],
            scopes: vec![Scope::Read],
            projects: vec!["notes".into()],
            expires: None,
        };
        let records = |named| records(named, Exposed::Refused);
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (0, 1), "{faults:?}");
        write(&at("token"), key(1).secret_text(), 0o600);
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (1, 0), "{faults:?}");
        write(&at("token.previous"), &format!("sha256:{}\n", key(2).hash()), 0o600);
        let hashes: Vec<Hash> = records(&named).0.into_iter().map(|record| record.hash).collect();
        assert_eq!(hashes, [key(1).hash(), key(2).hash()]);
        write(&at("token"), "hunter2 is no key", 0o600);
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (1, 1));
        assert!(!faults[0].contains("hunter2"), "{faults:?}");
    }

    #[test]
    fn a_key_that_somebody_else_can_read_or_change_is_reported_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let path = path.to_str().unwrap();
        let key = ApiKey::of_random(&[1; KEY_RANDOM_BYTES]);
        let hash = format!("sha256:{}", key.hash());
        for (text, mode, expected) in [
            (key.secret_text(), 0o440, None),
            (key.secret_text(), 0o644, Some(ModeFault::ReadableByAll)),
            (key.secret_text(), 0o620, Some(ModeFault::Writable)),
            (&hash, 0o644, None),
            (&hash, 0o666, Some(ModeFault::Writable)),
        ] {
            write(path, text, mode);
            let reported = hash_in(Path::new(path), Exposed::Reported).unwrap();
            assert_eq!(reported, (key.hash(), expected), "{mode:o}");
            let refused = hash_in(Path::new(path), Exposed::Refused);
            assert_eq!(refused.is_err(), expected.is_some(), "{mode:o}");
        }
    }
}
