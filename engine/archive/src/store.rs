//! The small part of an object store that an archive uses. Every call is bounded in time, and what fails for a passing
//! reason is repeated a bounded number of times.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine_core::digest::Hash;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::leftovers;
pub(crate) use crate::store_error::{CALL_MAX, StoreError};
use crate::store_error::{failed, of};

/// Attempts of a call. Whoever calls tries again later.
const ATTEMPTS: u32 = 3;
/// Delay before the second attempt; it doubles. Random time of up to the same length is added, so that engines that
/// failed together do not return together.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// How old a probe is that nobody waits for any more. It takes seconds.
const PROBE_AGE: Duration = Duration::from_secs(3_600);
/// Objects below one prefix of a store.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
    /// The directory of the objects, if they are files.
    directory: Option<PathBuf>,
    /// Whether the answer to a put tells whether the store keeps older versions.
    tells_versions: bool,
    /// Whether the store keeps older versions of objects, as the last answer to a put said; `None` if none has said it.
    versions: Arc<Mutex<Option<bool>>>,
    #[cfg(test)]
    faults: Arc<crate::faults::Faults>,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name below the prefix.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// When it was stored, by the clock of the store.
    pub stored_at: Timestamp,
    /// Changes whenever the object does, if the store says so.
    pub version: Option<String>,
}

impl Store {
    /// The objects below a prefix.
    pub fn new(objects: Arc<dyn ObjectStore>, prefix: &str) -> Store {
        Store {
            objects,
            prefix: prefix.to_owned(),
            directory: None,
            tells_versions: true,
            versions: Arc::default(),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// The same objects, in a store whose answers do not tell whether it keeps older versions.
    #[must_use]
    pub(crate) fn without_versions(self) -> Store {
        Store { tells_versions: false, ..self }
    }

    /// The same objects, which are files in this directory.
    #[must_use]
    pub(crate) fn in_directory(self, directory: PathBuf) -> Store {
        Store { directory: Some(directory), ..self }
    }

    /// The part of the store below a folder.
    #[must_use]
    pub fn below(&self, folder: &str) -> Store {
        let directory = self.directory.as_ref().map(|directory| directory.join(folder));
        Store { prefix: self.full(folder), directory, ..self.clone() }
    }

    /// Whether the store keeps older versions of objects that are replaced; `None` if that is not known.
    pub(crate) fn keeps_versions(&self) -> Option<bool> {
        *self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes files that writes have left which did not end, if the objects are files: a process was killed then. They
    /// may have keys. Of a writer that still runs only those count that are `older_than` this; it would write again.
    pub(crate) async fn remove_leftovers(&self, older_than: Duration) {
        let Some(directory) = self.directory.clone() else { return };
        let removed = tokio::task::spawn_blocking(move || leftovers::remove(&directory, older_than)).await;
        match removed {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::info!(count, "files of writes that did not end were removed"),
            Ok(Err(fault)) => tracing::warn!(%fault, "files of writes that did not end stay in the archive"),
            // The engine is stopping.
            Err(_) => {}
        }
    }

    /// The same objects, with calls that fail.
    #[cfg(test)]
    pub(crate) fn failing(self, faults: Arc<crate::faults::Faults>) -> Store {
        Store { faults, ..self }
    }

    fn full(&self, name: &str) -> String {
        [self.prefix.as_str(), name]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/")
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
        Path::parse(self.full(name)).map_err(|fault| failed(name, &fault.to_string()))
    }

    /// Creates an object. Returns whether it was created; false if it was there with the same contents.
    ///
    /// # Errors
    /// It is there with other contents, or the store failed.
    pub async fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let mut attempt = 1;
        loop {
            let fault = match self.put_once(name, bytes, PutMode::Create).await {
                Ok(_) => return Ok(true),
                Err(fault @ StoreError::Unconditional) => return Err(fault),
                Err(fault) => fault,
            };
            // Another writer may have been first, or the answer to an attempt of this one was lost. A store with locks
            // may deny to touch an object that is there, before it looks at the condition.
            match self.get_once(name, bytes.len() as u64).await {
                Ok(found) if Hash::of(&found) == Hash::of(bytes) => return Ok(false),
                Ok(_) | Err(StoreError::TooLarge(..)) => return Err(StoreError::Different(name.to_owned())),
                Err(_) if attempt >= ATTEMPTS || matches!(fault, StoreError::Denied(_)) => return Err(fault),
                Err(_) => {}
            }
            wait(attempt).await;
            attempt += 1;
        }
    }

    /// Stores an object, replacing one of the same name. Returns its version, as [`Listed`] has it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<Option<String>, StoreError> {
        repeated(|| self.put_once(name, bytes, PutMode::Overwrite)).await
    }

    /// Reads an object of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// It is missing or larger, or the store failed.
    pub async fn get(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        repeated(|| self.get_once(name, bytes_max)).await
    }

    /// When an object was stored, by the clock of the store; `None` if it is not there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stored_at(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let path = self.path(name)?;
        #[cfg(test)]
        if self.faults.before().await {
            return Err(StoreError::Denied(name.to_owned()));
        }
        match repeated(|| bounded(name, self.objects.head(&path))).await {
            Ok(found) => Ok(Some(time_of(found.last_modified.timestamp_millis()))),
            Err(StoreError::Missing(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        #[cfg(test)]
        if self.faults.before().await {
            return Err(StoreError::Denied(name.to_owned()));
        }
        #[cfg(test)]
        if self.faults.locks(name) {
            return Err(StoreError::Kept(name.to_owned()));
        }
        match repeated(|| bounded(name, self.objects.delete(&path))).await {
            Err(StoreError::Missing(_)) => Ok(()),
            Err(StoreError::Denied(name)) => Err(StoreError::Kept(name)),
            deleted => deleted,
        }
    }

    /// Lists all objects below a folder.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let path = self.path(folder)?;
        #[cfg(test)]
        if self.faults.before().await {
            return Err(StoreError::Denied(folder.to_owned()));
        }
        let objects =
            repeated(|| bounded(folder, self.objects.list(Some(&path)).try_collect::<Vec<_>>())).await?;
        let before = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let listed = objects.into_iter().filter_map(|object| {
            let name = object.location.as_ref().strip_prefix(&before)?.to_owned();
            let stored_at = time_of(object.last_modified.timestamp_millis());
            Some(Listed { name, bytes: object.size, stored_at, version: object.e_tag })
        });
        Ok(listed.collect())
    }

    /// Lists the names of the folders at the top.
    ///
    /// # Errors
    /// The store failed.
    pub async fn folders(&self) -> Result<Vec<String>, StoreError> {
        let path = self.path("")?;
        let listed = repeated(|| bounded("", self.objects.list_with_delimiter(Some(&path)))).await?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    /// Whether the store creates an object only if it is absent. A store that ignores the condition overwrites.
    ///
    /// # Errors
    /// The store failed.
    pub async fn honours_conditions(&self, name: &str) -> Result<bool, StoreError> {
        self.remove_old_probes(name).await?;
        let first = self.put_once(name, b"probe", PutMode::Create).await;
        let second = self.put_once(name, b"probe again", PutMode::Create).await;
        // In a bucket with locks it stays. Nothing reads it.
        let _deleted = self.delete(name).await;
        match (first, second) {
            (Ok(_), Ok(_)) | (Err(StoreError::Unconditional), _) => Ok(false),
            (_, Err(StoreError::Different(_))) => Ok(true),
            // A lock keeps what is there just as well.
            (Ok(_), Err(StoreError::Denied(_))) => Ok(true),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        }
    }

    /// Removes objects of probes whose process was killed.
    async fn remove_old_probes(&self, name: &str) -> Result<(), StoreError> {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.below(folder).remove_leftovers(PROBE_AGE).await;
        for probe in self.list(folder).await? {
            let age = Timestamp::now().duration_since(probe.stored_at);
            if age.unsigned_abs() > PROBE_AGE && age.is_positive() {
                // In a bucket with locks it stays. Nothing reads it.
                let _deleted = self.delete(&probe.name).await;
            }
        }
        Ok(())
    }

    async fn put_once(&self, name: &str, bytes: &[u8], mode: PutMode) -> Result<Option<String>, StoreError> {
        let path = self.path(name)?;
        let options = PutOptions { mode, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.to_vec());
        #[cfg(test)]
        if self.faults.before().await {
            return Err(StoreError::Denied(name.to_owned()));
        }
        let stored = bounded(name, self.objects.put_opts(&path, payload, options)).await?;
        #[cfg(test)]
        if self.faults.after() {
            return Err(StoreError::Timeout(name.to_owned()));
        }
        if self.tells_versions {
            let is_kept = is_version(stored.version.as_deref());
            *self.versions.lock().unwrap_or_else(PoisonError::into_inner) = Some(is_kept);
        }
        Ok(stored.e_tag)
    }

    async fn get_once(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(name)?;
        #[cfg(test)]
        if self.faults.before().await || self.faults.denies(name) {
            return Err(StoreError::Denied(name.to_owned()));
        }
        let read = async {
            let found = self.objects.get(&path).await?;
            if found.meta.size > bytes_max {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        };
        let read = bounded(name, read).await?;
        read.map(|bytes| bytes.to_vec()).ok_or_else(|| StoreError::TooLarge(name.to_owned(), bytes_max))
    }
}

/// Whether a store that answers this keeps older versions. Without versions there is no id, and while they are
/// suspended it is "null".
fn is_version(id: Option<&str>) -> bool {
    id.is_some_and(|id| id != "null")
}

/// A time of a store. One that cannot be a time counts as the beginning of time.
fn time_of(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap_or_default()
}

async fn bounded<T>(
    name: &str,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(CALL_MAX, call).await {
        Err(_) => Err(StoreError::Timeout(name.to_owned())),
        Ok(outcome) => outcome.map_err(|fault| of(name, &fault)),
    }
}

async fn repeated<T, F: Future<Output = Result<T, StoreError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(fault) if fault.passes() && attempt < ATTEMPTS => wait(attempt).await,
            outcome => return outcome,
        }
        attempt += 1;
    }
}

async fn wait(attempt: u32) {
    tokio::time::sleep(with_jitter(RETRY_DELAY * 2_u32.pow(attempt - 1))).await;
}

/// The delay and up to as much again.
pub fn with_jitter(delay: Duration) -> Duration {
    let mut random = [0; 2];
    // Without random bytes the delay has no jitter.
    let _filled = getrandom::fill(&mut random);
    delay + delay.mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn store() -> Store {
        Store::new(Arc::new(InMemory::new()), "prefix")
    }

    #[tokio::test]
    async fn a_name_is_created_once() {
        let store = store();
        assert_eq!(store.create("a/b", b"one").await, Ok(true));
        assert_eq!(
            store.create("a/b", b"one").await,
            Ok(false),
            "the answer was lost, and it is tried again"
        );
        let other = store.create("a/b", b"two").await;
        assert_eq!(other, Err(StoreError::Different("a/b".into())));
        assert_eq!(store.get("a/b", 3).await, Ok(b"one".to_vec()));
        assert_eq!(store.get("a/b", 2).await, Err(StoreError::TooLarge("a/b".into(), 2)));
        assert_eq!(store.get("a/c", 2).await, Err(StoreError::Missing("a/c".into())));
    }

    #[tokio::test]
    async fn a_store_tells_whether_it_keeps_versions() {
        assert_eq!([None, Some("null"), Some("01M8")].map(is_version), [false, false, true]);
        let (keys, silent) = (store(), store().without_versions());
        assert_eq!(keys.keeps_versions(), None, "nothing was stored yet");
        for store in [&keys, &silent] {
            store.below("a").put("b", b"x").await.unwrap();
        }
        assert_eq!((keys.keeps_versions(), silent.keeps_versions()), (Some(false), None));
    }

    #[tokio::test]
    async fn lists_are_below_the_prefix() {
        let store = store();
        for name in ["log/a/1", "log/a/2", "log/b/3", "other/c"] {
            store.put(name, b"x").await.unwrap();
        }
        let names = |listed: Vec<Listed>| listed.into_iter().map(|object| object.name).collect::<Vec<_>>();
        assert_eq!(names(store.list("log/a").await.unwrap()), ["log/a/1", "log/a/2"]);
        assert_eq!(names(store.below("log").list("b").await.unwrap()), ["b/3"]);
        assert_eq!(store.folders().await.unwrap(), ["log", "other"]);
        store.delete("log/a/1").await.unwrap();
        store.delete("log/a/1").await.unwrap();
        assert_eq!(names(store.list("log/a").await.unwrap()), ["log/a/2"]);
    }

    #[tokio::test]
    async fn a_store_that_honours_conditions_is_recognised() {
        let store = store();
        assert_eq!(store.honours_conditions("probes/1").await, Ok(true));
        assert_eq!(store.list("probes").await, Ok(Vec::new()), "nothing is left of it");
    }
}
