//! What is left of an engine that was deleted, in a ConfigMap without an owner: where its log ended, which claim has
//! it, when and why it was deleted. Nothing waits for it: a namespace that is being deleted takes no new object.

use std::collections::BTreeMap;

use crds::MemoryEngine;
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    anchor::record::{ClaimRecord, Record, claim_record},
    build::value,
    names::{self, DELETION_REASON_ANNOTATION},
};

/// Longest reason that is kept, characters.
const REASON_CHARS_MAX: usize = 512;
/// Entry with the uid of the resource that was deleted.
const UID: &str = "uid";

/// What is known about an engine that no longer exists.
#[derive(Clone, Debug)]
pub struct Gone<'a> {
    /// Namespace of the engine.
    pub namespace: &'a str,
    /// Name of the engine.
    pub name: &'a str,
    /// The resource as it was seen last; `None` if this process has not seen it.
    pub last: Option<&'a MemoryEngine>,
    /// The claim that it left; `None` if there is none.
    pub claim: Option<&'a DynamicObject>,
    /// The tombstone that there is already.
    pub before: Option<&'a DynamicObject>,
}

impl Gone<'_> {
    /// The tombstone; `None` if nothing is left that it could describe, or if this deletion has one.
    #[must_use]
    pub fn tombstone(&self, now: Timestamp) -> Option<Value> {
        let log = self.last.and_then(|last| last.status.as_ref()?.log.as_ref());
        let noted = match claim_record(self.claim) {
            ClaimRecord::Known(record) => Some(record),
            _ => None,
        };
        if self.claim.is_none() && log.is_none() || self.is_said(noted.as_ref()) {
            return None;
        }
        let anchor = log.and_then(Record::of_status).into_iter().chain(noted).max_by_key(Record::age);
        let mut data = BTreeMap::new();
        let mut say = |entry: &str, text: Option<String>| {
            data.extend(text.map(|text| (entry.to_owned(), text)));
        };
        say("engine", Some(self.name.to_owned()));
        say(UID, self.uid());
        say("foundAt", Some(Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()));
        say("reason", Some(self.reason()));
        say("headSeq", log.map(|log| log.head_seq.to_string()));
        say("headHash", log.map(|log| log.head_hash.clone()));
        say("origin", anchor.as_ref().map(|anchor| anchor.origin.clone()));
        say("size", anchor.as_ref().map(|anchor| anchor.size.to_string()));
        say("root", anchor.as_ref().map(|anchor| anchor.root.clone()));
        say("key", anchor.as_ref().map(|anchor| anchor.key.clone()));
        say("epoch", anchor.as_ref().map(|anchor| anchor.rollbacks().to_string()));
        let deletion = self.last.and_then(|last| last.status.as_ref()?.deletion.as_ref());
        say("lastBackup", deletion.and_then(|deletion| deletion.backup.clone()));
        say(
            "lastBackupOutcome",
            deletion.map(|deletion| format!("{:?}: {}", deletion.outcome, deletion.message)),
        );
        say("claim", self.kept_claim().and_then(|claim| claim.metadata.name.clone()));
        say("claimUid", self.kept_claim().and_then(|claim| claim.metadata.uid.clone()));
        Some(value(&ConfigMap {
            metadata: ObjectMeta {
                name: Some(names::tombstone(self.name).name),
                namespace: Some(self.namespace.to_owned()),
                labels: Some(names::labels(self.name)),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        }))
    }

    /// The claim, unless it is being deleted too.
    fn kept_claim(&self) -> Option<&DynamicObject> {
        self.claim.filter(|claim| claim.metadata.deletion_timestamp.is_none())
    }

    fn uid(&self) -> Option<String> {
        self.last.and_then(|last| last.metadata.uid.clone())
    }

    /// Whether the tombstone that there is describes this deletion. Without the uid of the resource, it does if it
    /// describes the same claim with a log that has not grown since. A claim that is being deleted is of a deletion
    /// that was described.
    fn is_said(&self, noted: Option<&Record>) -> bool {
        let Some(before) = self.before else { return false };
        let entry = |name: &str| before.data.pointer(&format!("/data/{name}")).and_then(Value::as_str);
        match self.uid() {
            Some(uid) => entry(UID) == Some(uid.as_str()),
            None => {
                let claim = self.kept_claim().and_then(|claim| claim.metadata.uid.as_deref());
                let size = entry("size").and_then(|size| size.parse::<u64>().ok()).unwrap_or_default();
                claim.is_none_or(|claim| entry("claimUid") == Some(claim))
                    && noted.is_none_or(|noted| noted.size <= size)
            }
        }
    }

    fn reason(&self) -> String {
        let Some(last) = self.last else {
            return "not known: the resource was deleted while no operator was running".to_owned();
        };
        let given = last.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_REASON_ANNOTATION));
        let given =
            given.map(|text| text.chars().filter(|one| !one.is_control()).take(REASON_CHARS_MAX).collect());
        given.unwrap_or_else(|| format!("none was given with {DELETION_REASON_ANNOTATION}"))
    }
}
