//! A revision: everything of a spec that can change an answer.

use crds::{Embedding, Policy, Rerank};
use engine_core::digest::Hash;
use kube_core::DynamicObject;
use serde::{Deserialize, Serialize};

use crate::{names::REVISION_ANNOTATION, validate::Valid};

/// Hexadecimal digits of the name of a revision.
const NAME_DIGITS: usize = 12;

/// Everything of a spec that can change an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embedding: Option<Embedding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rerank: Option<Rerank>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
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
    /// The revision that a spec asks for.
    #[must_use]
    pub fn of(valid: &Valid) -> Self {
        Self {
            image: valid.image.clone(),
            embedding: valid.embedding.clone(),
            rerank: valid.rerank.clone(),
            policy: valid.policy.clone(),
        }
    }

    /// Its name, which follows from its content.
    #[must_use]
    pub fn name(&self) -> String {
        let text = serde_json::to_string(self).expect("plain values are JSON");
        Hash::of(text.as_bytes()).to_string().chars().take(NAME_DIGITS).collect()
    }

    /// A spec with this revision, and everything else as it is. The identity of the spec that a pod is built from
    /// contains the revision: a pod that takes another one does so because the spec was changed.
    #[must_use]
    pub fn applied_to(&self, valid: &Valid) -> Valid {
        let mut applied = valid.clone();
        applied.image.clone_from(&self.image);
        applied.embedding.clone_from(&self.embedding);
        applied.rerank.clone_from(&self.rerank);
        applied.policy.clone_from(&self.policy);
        applied.update.inputs =
            Hash::of(format!("{} {}", valid.update.inputs, self.name()).as_bytes()).to_string();
        applied
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
