//! What the services outside of the engine need in its pod and in its NetworkPolicy.

use crds::{EmbeddingProvider, EmbeddingService, KeyReference};
use engine_core::configuration::Address;
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::validate::Valid;

/// Volumes with the key of the embedding service and of the reranker.
const EMBEDDING_KEY: &str = "embedding-key";
const RERANK_KEY: &str = "rerank-key";
/// Name of the file in these volumes, whatever the key in the Secret is called.
const KEY_FILE: &str = "key";
/// Only the engine's user and group read a key: the engine refuses a file that others can read.
const KEY_MODE: i32 = 0o440;

/// A service that the engine connects to.
pub(super) struct ExternalService<'a> {
    volume: &'static str,
    url: &'a str,
    key: Option<&'a KeyReference>,
}

/// The embedding service, if it is the provider of vectors.
pub(super) fn embedding_service(embedding: &crds::Embedding) -> Option<&EmbeddingService> {
    embedding.http.as_ref().filter(|_| embedding.provider == EmbeddingProvider::Http)
}

/// The services of the spec.
pub(super) fn external_services(valid: &Valid) -> Vec<ExternalService<'_>> {
    let embedding = valid.embedding.as_ref().and_then(embedding_service).map(|http| ExternalService {
        volume: EMBEDDING_KEY,
        url: &http.url,
        key: http.key_secret_ref.as_ref(),
    });
    let rerank = valid.rerank.as_ref().map(|rerank| ExternalService {
        volume: RERANK_KEY,
        url: &rerank.url,
        key: rerank.key_secret_ref.as_ref(),
    });
    embedding.into_iter().chain(rerank).collect()
}

impl ExternalService<'_> {
    /// The port that the engine connects to.
    pub(super) fn port(&self) -> Option<u16> {
        Address::of(self.url).map(|address| address.port)
    }

    /// The volume with the key of the service. The Secret is not optional: the kubelet waits for it and names it in an
    /// event, while an engine without the key would not start.
    pub(super) fn key_volume(&self) -> Option<Volume> {
        let key = self.key?;
        let item = KeyToPath { key: key.key.clone(), path: KEY_FILE.to_owned(), mode: None };
        Some(Volume {
            name: self.volume.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(key.name.clone()),
                items: Some(vec![item]),
                default_mode: Some(KEY_MODE),
                optional: None,
            }),
            ..Volume::default()
        })
    }

    /// Mounts the directory with the key. A mount of the file alone would not follow a change of the Secret.
    pub(super) fn key_mount(&self) -> Option<VolumeMount> {
        self.key.map(|_| VolumeMount {
            name: self.volume.to_owned(),
            mount_path: key_directory(self.volume),
            read_only: Some(true),
            ..VolumeMount::default()
        })
    }
}

fn key_directory(volume: &str) -> String {
    format!("/run/memory-engine/{volume}")
}

/// Path of the embedding service's key in the pod.
pub(super) fn embedding_key_path() -> String {
    format!("{}/{KEY_FILE}", key_directory(EMBEDDING_KEY))
}

/// Path of the reranker's key in the pod.
pub(super) fn rerank_key_path() -> String {
    format!("{}/{KEY_FILE}", key_directory(RERANK_KEY))
}
