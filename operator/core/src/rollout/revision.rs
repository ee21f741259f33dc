//! A revision: everything of a spec that can change an answer.

use crds::{Embedding, Policy, Rerank};
use engine_core::digest::Hash;
use kube_core::DynamicObject;
use serde::{Deserialize, Serialize};

use crate::names::REVISION_ANNOTATION;

/// Hexadecimal digits of the name of a revision.
const NAME_DIGITS: usize = 12;

/// Everything of a spec that can change an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Image of the engine.
    pub image: String,
    /// The provider of vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
    /// The service that reranks the best results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<Rerank>,
    /// What may be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// What the annotation of a workload says: which revision it runs, and those that it may be changed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The revision that the workload runs.
    pub runs: Revision,
    /// The other revisions of the rollout, so that none of them is lost while any workload is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knows: Vec<Revision>,
}

impl Revision {
    /// Its name, which follows from its content.
    #[must_use]
    pub fn name(&self) -> String {
        let text = serde_json::to_string(self).expect("plain values are JSON");
        Hash::of(text.as_bytes()).to_string().chars().take(NAME_DIGITS).collect()
    }
}

impl Running {
    /// What a workload runs; `None` if it does not say so.
    #[must_use]
    pub fn of(workload: &DynamicObject) -> Option<Self> {
        let annotations = workload.metadata.annotations.as_ref()?;
        serde_json::from_str(annotations.get(REVISION_ANNOTATION)?).ok()
    }

    /// The value of the annotation.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values are JSON")
    }
}
