//! Keys in files, which the configuration names. They are read again every two seconds.

use std::io;
use std::path::Path;
use std::sync::Arc;

use engine_core::access::{Caller, CallerKind, KeyRecord, Projects, stored_hash};
use engine_core::configuration::{AccessKey, EVERY_PROJECT};
use engine_core::digest::Hash;
use engine_core::words::normal_form;
use service::regular_file::read_text;

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
pub(super) fn records(key: &AccessKey) -> (Vec<KeyRecord>, Vec<String>) {
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
        match hash_in(Path::new(path)) {
            Ok(hash) => records.push(KeyRecord { hash, caller: Arc::clone(&caller), expires }),
            // The second file is there during a rotation only.
            Err(fault) if place > 0 && fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => {
                faults.push(format!("the key {:?} cannot be read from {path:?}: {fault}", key.name));
            }
        }
    }
    (records, faults)
}

/// The hash of the key in a file.
///
/// # Errors
/// The file cannot be read, or has no key. The error has no part of the content.
pub(super) fn hash_in(path: &Path) -> io::Result<Hash> {
    let content = read_text(path, FILE_BYTES_MAX)?;
    stored_hash(&content).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
}

#[cfg(test)]
mod tests {
    use engine_core::access::{ApiKey, KEY_RANDOM_BYTES, Scope};

    use super::*;

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
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (0, 1), "{faults:?}");
        std::fs::write(at("token"), key(1).secret_text()).unwrap();
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (1, 0), "{faults:?}");
        std::fs::write(at("token.previous"), format!("sha256:{}\n", key(2).hash())).unwrap();
        let hashes: Vec<Hash> = records(&named).0.into_iter().map(|record| record.hash).collect();
        assert_eq!(hashes, [key(1).hash(), key(2).hash()]);
        std::fs::write(at("token"), "hunter2 is no key").unwrap();
        let (found, faults) = records(&named);
        assert_eq!((found.len(), faults.len()), (1, 1));
        assert!(!faults[0].contains("hunter2"), "{faults:?}");
    }
}
