//! Where an archive is, and the clients of its stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine_core::archive::cipher::{KEY_BYTES, WrappingKey};
use engine_core::configuration::Backup;
use engine_core::digest::Hash;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use service::secret_file::{self, Exposed};
use thiserror::Error;

use crate::repository::Repository;
use crate::store::{CALL_MAX, Store};

/// Maximum size of a file with a credential or a key, bytes.
const SECRET_BYTES_MAX: u64 = 4 << 10;
/// Maximum size of a file with authorities, bytes. The bundle of a platform has about 250 KB.
const AUTHORITIES_BYTES_MAX: u64 = 1 << 20;
/// Time to connect. A store that is there answers within a fraction of it.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Retries of one request by the client, for connections that were closed meanwhile. What is worth more patience is
/// repeated by the archive itself.
const CLIENT_RETRIES: usize = 2;

/// Where an archive is.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSettings {
    /// The section of the configuration; `url` is set.
    pub section: Backup,
    /// What is done with files of secrets that somebody else can read or change.
    pub exposed: Exposed,
}

/// Why the stores cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    #[error(
        "{0:?} is no address of an archive: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
         file:///DIRECTORY"
    )]
    Url(String),
    #[error("cannot read {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0:?} must contain 32 bytes, in hexadecimal or base64")]
    Key(PathBuf),
    #[error("az:// needs backup.credentialsDirectory with the files account_name and access_key")]
    NoAccount,
    #[error("{0:?} contains no certificates")]
    Authorities(PathBuf),
    #[error("cannot use the directory {path:?}: {source}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("the client of the object store cannot be set up: {0}")]
    Client(String),
}

impl ArchiveSettings {
    /// The settings, if the section configures an archive.
    #[must_use]
    pub fn of(section: &Backup, exposed: Exposed) -> Option<ArchiveSettings> {
        section.url.as_ref().map(|_| ArchiveSettings { section: section.clone(), exposed })
    }

    /// Time between two steps of the archive.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.section.archive_interval_seconds())
    }
}

/// Opens the archive. Nothing is sent yet.
///
/// # Errors
/// A file of the settings cannot be read, or an address is not valid.
pub fn open(settings: &ArchiveSettings) -> Result<Repository, SettingsError> {
    let section = &settings.section;
    let url = section.url.as_deref().unwrap_or_default();
    let pieces = store(url, settings)?;
    let keys = section.keys_url.as_deref().map_or_else(|| Ok(pieces.clone()), |url| store(url, settings))?;
    let wrapping = section.key_encryption_key_file.as_deref().map(|path| {
        let path = Path::new(path);
        wrapping_key(&secret(path, settings.exposed)?).ok_or_else(|| SettingsError::Key(path.to_owned()))
    });
    Ok(Repository::new(pieces, keys, wrapping.transpose()?))
}

fn store(url: &str, settings: &ArchiveSettings) -> Result<Store, SettingsError> {
    let unknown = || SettingsError::Url(url.to_owned());
    if let Some(path) = url.strip_prefix("file://") {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(unknown());
        }
        let failed = |source| SettingsError::Directory { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        let files = LocalFileSystem::new_with_prefix(path).map_err(|fault| client(&fault))?;
        return Ok(Store::new(Arc::new(files.with_fsync(true)), "").in_directory(path.to_owned()));
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(unknown());
    }
    let objects = match scheme {
        "s3" => s3(bucket, settings)?,
        "gs" => gcs(bucket, settings)?,
        "az" => azure(bucket, settings)?,
        _ => return Err(unknown()),
    };
    let store = Store::new(objects, prefix.trim_matches('/'));
    // Each object there has a number of its generation, whether the bucket keeps older ones or not.
    Ok(if scheme == "gs" { store.without_versions() } else { store })
}

/// The options of a client, for any kind of store.
fn options(section: &Backup) -> Result<ClientOptions, SettingsError> {
    let mut options = ClientOptions::new()
        .with_allow_http(section.allow_http())
        .with_connect_timeout(CONNECT_MAX)
        .with_timeout(CALL_MAX);
    if let Some(path) = &section.ca_file {
        let path = PathBuf::from(path);
        let pem = service::regular_file::read(&path, AUTHORITIES_BYTES_MAX)
            .map_err(|source| SettingsError::Read { path: path.clone(), source })?;
        let authorities = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
        for authority in authorities.ok_or(SettingsError::Authorities(path))? {
            options = options.with_root_certificate(authority);
        }
    }
    Ok(options)
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: CLIENT_RETRIES, retry_timeout: CALL_MAX }
}

/// What the file with this name in the directory of the credentials contains, if there is such a directory.
fn credential(name: &str, settings: &ArchiveSettings) -> Result<Option<String>, SettingsError> {
    let directory = settings.section.credentials_directory.as_ref();
    directory.map(|directory| secret(&Path::new(directory).join(name), settings.exposed)).transpose()
}

fn s3(bucket: &str, settings: &ArchiveSettings) -> Result<Arc<dyn ObjectStore>, SettingsError> {
    let section = &settings.section;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(section.region())
        .with_allow_http(section.allow_http())
        .with_virtual_hosted_style_request(!section.path_style())
        // A bucket with locks demands a checksum. It also shows the store what was changed on the way.
        .with_checksum_algorithm(Checksum::SHA256)
        // Objects are deleted one by one, and the answer to that says whether it is permitted.
        .with_disable_bulk_delete(true)
        .with_retry(retry())
        .with_client_options(options(section)?);
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(id) = credential("access_key_id", settings)? {
        builder = builder.with_access_key_id(id);
    }
    if let Some(key) = credential("secret_access_key", settings)? {
        builder = builder.with_secret_access_key(key);
    }
    Ok(Arc::new(builder.build().map_err(|fault| client(&fault))?))
}

fn gcs(bucket: &str, settings: &ArchiveSettings) -> Result<Arc<dyn ObjectStore>, SettingsError> {
    let section = &settings.section;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_client_options(options(section)?);
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(account) = credential("service_account.json", settings)? {
        builder = builder.with_service_account_key(account);
    }
    // The text of this fault may quote the file.
    let built = builder.build().map_err(|_| SettingsError::Client("the service account is not valid".into()));
    Ok(Arc::new(built?))
}

fn azure(container: &str, settings: &ArchiveSettings) -> Result<Arc<dyn ObjectStore>, SettingsError> {
    let section = &settings.section;
    let account = credential("account_name", settings)?.ok_or(SettingsError::NoAccount)?;
    let key = credential("access_key", settings)?.ok_or(SettingsError::NoAccount)?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_account(account)
        .with_access_key(key)
        .with_allow_http(section.allow_http())
        .with_retry(retry())
        .with_client_options(options(section)?);
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let built = builder.build().map_err(|_| SettingsError::Client("the access key is not valid".into()));
    Ok(Arc::new(built?))
}

fn client(fault: &object_store::Error) -> SettingsError {
    SettingsError::Client(fault.to_string())
}

fn secret(path: &Path, exposed: Exposed) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::Read { path: path.to_owned(), source };
    let (bytes, fault) = secret_file::read(path, SECRET_BYTES_MAX, exposed).map_err(failed)?;
    if let Some(fault) = fault {
        tracing::warn!(path = %path.display(), %fault, "a secret can be read or changed by somebody else");
    }
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not text")))?;
    Ok(text.trim().to_owned())
}

fn wrapping_key(text: &str) -> Option<WrappingKey> {
    let from_base64 = || STANDARD.decode(text).ok()?.try_into().ok();
    let key: Option<[u8; KEY_BYTES]> =
        Hash::from_hex(text.as_bytes()).map(|hash| hash.0).or_else(from_base64);
    key.map(WrappingKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(section: Backup) -> ArchiveSettings {
        ArchiveSettings { section, exposed: Exposed::Reported }
    }

    #[test]
    fn a_key_has_32_bytes_in_one_of_two_spellings() {
        let bytes = [0xab; KEY_BYTES];
        assert_eq!(wrapping_key(&"ab".repeat(32)).unwrap().0, bytes);
        assert_eq!(wrapping_key(&STANDARD.encode(bytes)).unwrap().0, bytes);
        for wrong in ["", "ab", &"ab".repeat(31), &STANDARD.encode([1; 31])] {
            assert!(wrapping_key(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named_and_no_secret_is() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("key"), "hunter2").unwrap();
        let url = Some(format!("file://{}", at("store")));
        let of = |section: Backup| open(&settings(section)).unwrap_err().to_string();
        let said =
            of(Backup { url: url.clone(), key_encryption_key_file: Some(at("key")), ..Backup::default() });
        assert!(said.contains("key") && !said.contains("hunter2"), "{said}");
        let s3 = Some("s3://bucket/prefix".to_owned());
        let said = of(Backup { url: s3.clone(), ca_file: Some(at("key")), ..Backup::default() });
        assert!(said.contains("certificates"), "{said}");
        let said = of(Backup { url: s3, credentials_directory: Some(at("none")), ..Backup::default() });
        assert!(said.contains("access_key_id"), "{said}");
        assert!(open(&settings(Backup { url, ..Backup::default() })).is_ok());
        for (name, text) in
            [("account_name", "account"), ("access_key", "hunter2!"), ("service_account.json", "hunter2!")]
        {
            std::fs::write(at(name), text).unwrap();
        }
        for url in ["gs://bucket/prefix", "az://container/prefix"] {
            let credentials_directory = Some(directory.path().display().to_string());
            let said = of(Backup { url: Some(url.to_owned()), credentials_directory, ..Backup::default() });
            assert!(said.contains("not valid") && !said.contains("hunter2"), "{url}: {said}");
        }
        let said = of(Backup { url: Some("az://container".to_owned()), ..Backup::default() });
        assert!(said.contains("account_name"), "{said}");
        std::fs::write(at("access_key"), STANDARD.encode([7; 64])).unwrap();
        let credentials_directory = Some(directory.path().display().to_string());
        let url = Some("az://container".to_owned());
        assert!(open(&settings(Backup { url, credentials_directory, ..Backup::default() })).is_ok());
    }
}
