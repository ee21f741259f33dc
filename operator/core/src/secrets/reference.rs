//! Every reference of a spec to an entry of a Secret.

use crds::{Access, BackupDestination, Embedding, EmbeddingProvider, KeyReference, MemoryEngineSpec};

use crate::{names::admin_token_secret, rotation::TOKEN_ENTRY};

/// The project that stands for every project.
pub const EVERY_PROJECT: &str = "*";
/// Suffix of the entry with the key that a rotation replaces. It stays valid until somebody removes it.
pub const PREVIOUS: &str = ".previous";

/// The field that wants a token which the operator makes.
pub const OWNED_TOKEN: &str = "secrets.rotation";

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The key of a client.
    Client,
    /// The key of a client that a rotation replaces. It may be missing.
    PreviousClient,
    /// The token of the administration port.
    Administrator,
    /// The token with which readers ask for the log.
    Reader,
    /// The key of a service outside of the engine, which that service has chosen.
    Service,
    /// The account of a service outside of the engine, as a JSON document.
    ServiceDocument,
    /// The key to which the keys of an archive are encrypted.
    KeyEncryptionKey,
}

/// A reference to an entry of a Secret in the namespace of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it is: a path below `spec`.
    pub field: String,
    /// Name of the Secret.
    pub secret: String,
    /// Entry in the Secret.
    pub key: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Name of the client, if it is the key of one.
    pub client: Option<String>,
    /// When the spec says that it expires, RFC 3339.
    pub expires: Option<String>,
}

impl Reference {
    fn of(field: &str, reference: &KeyReference, purpose: Purpose) -> Self {
        let KeyReference { name, key } = reference.clone();
        Self { field: field.to_owned(), secret: name, key, purpose, client: None, expires: None }
    }

    /// Whether it is the token that the operator makes.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.field == OWNED_TOKEN
    }

    /// Whether the engine itself accepts this secret, so that it must be hard to guess.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !matches!(self.purpose, Purpose::Service | Purpose::ServiceDocument)
    }
}

/// The references of `spec.access`.
#[must_use]
pub fn entries(access: &Access) -> Vec<Reference> {
    let keys = access.keys.iter().flat_map(|key| {
        let field = format!("access.keys[{}].secretRef", key.name);
        let current = Reference {
            field: field.clone(),
            secret: key.secret_ref.name.clone(),
            key: key.secret_ref.key.clone(),
            purpose: Purpose::Client,
            client: Some(key.name.clone()),
            expires: key.expires.clone(),
        };
        let previous = Reference {
            field: field + PREVIOUS,
            key: format!("{}{PREVIOUS}", key.secret_ref.key),
            purpose: Purpose::PreviousClient,
            ..current.clone()
        };
        [current, previous]
    });
    let token = access.admin_token_secret_ref.as_ref();
    let token = token.map(|token| Reference::of("access.adminTokenSecretRef", token, Purpose::Administrator));
    let reader = access.reader_token_secret_ref.as_ref();
    let reader = reader.map(|token| Reference::of("access.readerTokenSecretRef", token, Purpose::Reader));
    keys.chain(token).chain(reader).collect()
}

/// Every reference of a spec whose entry the engine reads, in the order of the status.
#[must_use]
pub fn references(engine: &str, spec: &MemoryEngineSpec) -> Vec<Reference> {
    let mut found = spec.access.as_ref().map(entries).unwrap_or_default();
    if spec.secrets.as_ref().is_some_and(|secrets| secrets.rotation.is_some()) {
        let token = KeyReference { name: admin_token_secret(engine).name, key: TOKEN_ENTRY.to_owned() };
        found.push(Reference::of(OWNED_TOKEN, &token, Purpose::Administrator));
    }
    let service = |embedding: &Embedding| match embedding.provider {
        EmbeddingProvider::Http => embedding.http.as_ref()?.key_secret_ref.clone(),
        _ => None,
    };
    let embedding = spec.embedding.as_ref().and_then(service);
    let rerank = spec.rerank.as_ref().and_then(|rerank| rerank.key_secret_ref.clone());
    for (field, key) in [("embedding.http.keySecretRef", embedding), ("rerank.keySecretRef", rerank)] {
        found.extend(key.map(|key| Reference::of(field, &key, Purpose::Service)));
    }
    let stores = [
        ("backup.destination", spec.backup.as_ref().map(|one| &one.destination)),
        ("bootstrap.fromBackup.source", spec.bootstrap.as_ref().map(|one| &one.from_backup.source)),
    ];
    for (field, store) in stores {
        found.extend(store.into_iter().flat_map(|store| credentials(field, store)));
    }
    let backup = spec.backup.as_ref().and_then(|one| one.key_encryption_key_secret_ref.as_ref());
    let bootstrap =
        spec.bootstrap.as_ref().and_then(|one| one.from_backup.key_encryption_key_secret_ref.as_ref());
    let keys = [
        ("backup.keyEncryptionKeySecretRef", backup),
        ("bootstrap.fromBackup.keyEncryptionKeySecretRef", bootstrap),
    ];
    for (field, key) in keys {
        found.extend(key.map(|key| Reference::of(field, key, Purpose::KeyEncryptionKey)));
    }
    found
}

/// The file with an account of Google. It is a JSON document; every other secret is a word.
const SERVICE_ACCOUNT: &str = "service_account.json";

/// Entries of the Secret with the credentials of a store, which are also the names of the files.
#[must_use]
pub fn credential_entries(store: &BackupDestination) -> Vec<&'static str> {
    let urls = [store.url.as_deref(), store.keys_url.as_deref()];
    let entries = urls.into_iter().flatten().flat_map(|url| match url.split_once("://") {
        Some(("gs", _)) => &[SERVICE_ACCOUNT][..],
        Some(("az", _)) => &["account_name", "access_key"],
        _ => &["access_key_id", "secret_access_key"],
    });
    let mut entries: Vec<_> = entries.copied().collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}

fn credentials(field: &str, store: &BackupDestination) -> Vec<Reference> {
    let Some(secret) = &store.credentials_secret_ref else { return Vec::new() };
    let entries = credential_entries(store).into_iter().map(|entry| {
        let key = KeyReference { name: secret.name.clone(), key: entry.to_owned() };
        let purpose = if entry == SERVICE_ACCOUNT { Purpose::ServiceDocument } else { Purpose::Service };
        Reference::of(&format!("{field}.credentialsSecretRef.{entry}"), &key, purpose)
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_store_has_its_credentials() {
        let entries = |url: &str, keys: Option<&str>| {
            let keys_url = keys.map(str::to_owned);
            credential_entries(&BackupDestination {
                url: Some(url.into()),
                keys_url,
                ..BackupDestination::default()
            })
        };
        assert_eq!(entries("s3://memories", Some("s3://keys")), ["access_key_id", "secret_access_key"]);
        assert_eq!(entries("gs://memories", None), ["service_account.json"]);
        assert_eq!(entries("az://memories", None), ["access_key", "account_name"]);
        let both = ["access_key", "access_key_id", "account_name", "secret_access_key"];
        assert_eq!(entries("s3://memories", Some("az://keys")), both);
    }
}
