//! Changes of the pod that come from the operator and not from the spec: a new version of the operator renders another
//! pod or configuration, or has another default image. They restart the engine, so they wait until somebody approves
//! them, or for their window.
//!
//! The StatefulSet carries the pod template as it was applied, and the identity of the spec it was rendered from. With
//! it the operator tells its own changes from those of the spec, and can repair a StatefulSet while its template waits.

mod changes;

use jiff::Timestamp;
use kube_core::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    build::{hex, stamp},
    children::CHILDREN,
    drift::differences,
    hibernation,
    names::{
        APPLIED_HASH_ANNOTATION, APPROVE_UPDATE_ANNOTATION, CONFIG_HASH_ANNOTATION, ChildKey,
        RENDERED_ANNOTATION, REVISION_ANNOTATION,
    },
    observed::Observed,
    ownership::is_ours,
    validate::{UpdateWhen, Valid},
};

/// Hexadecimal digits of the hash of an update. It tells updates apart, for people who type it.
const HASH_DIGITS: usize = 16;
/// Version of this operator.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest text of an approval that is read, characters.
const APPROVAL_CHARS_MAX: usize = 512;

/// What the StatefulSet says about its template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rendered {
    /// Version of the operator that rendered it.
    by: String,
    /// UID of the resource.
    uid: String,
    /// Generation of its spec.
    generation: i64,
    /// Hash of the parts of the spec that the pod may depend on.
    inputs: String,
    /// Name of the revision, if a rollout decides about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// The template.
    template: Value,
}

/// What is done about a change of the pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// It is applied.
    Applied {
        /// Hash of what it leads to.
        hash: String,
        /// Why.
        because: String,
        /// Whether it was the operator's own change.
        is_own: bool,
    },
    /// It waits.
    Held(Held),
}

/// An update that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Hash of what it leads to.
    pub hash: String,
    /// What it changes.
    pub changes: Vec<String>,
    /// When the window opens next.
    pub next_window: Option<Timestamp>,
    /// What is wrong with an approval that was given.
    pub refusal: Option<String>,
    /// Hash of the configuration that the pod keeps.
    pub config_hash: Option<String>,
}

/// The two objects that change together: a configuration must not reach a pod whose image may not know it.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The wanted ConfigMap.
    pub(crate) config: Value,
    /// The wanted StatefulSet.
    pub(crate) set: Value,
}

impl Pair {
    fn template(&self) -> &Value {
        &self.set["spec"]["template"]
    }

    fn config_text(&self) -> &str {
        config_text(&self.config)
    }

    fn hash(&self) -> String {
        let mut hash = hex(&Sha256::digest(format!("{}\n{}", self.template(), self.config_text())));
        hash.truncate(HASH_DIGITS);
        hash
    }
}

fn config_text(config: &Value) -> &str {
    config.pointer("/data/config.yaml").and_then(Value::as_str).unwrap_or_default()
}

/// Adds the annotation to a StatefulSet. The text that is there stays while it means the same, so that the version of
/// the operator or another generation alone causes no write.
pub(crate) fn annotate(observed: &Observed, valid: &Valid, set: &mut Value) {
    let rendered = Rendered {
        by: VERSION.to_owned(),
        uid: valid.uid.clone(),
        generation: valid.update.generation,
        inputs: valid.update.inputs.clone(),
        revision: valid.update.revision.clone(),
        template: set["spec"]["template"].clone(),
    };
    let live = live_set(observed, valid);
    let same = live.and_then(|live| Some((annotation(live)?, before(live)?)));
    let same = same.filter(|(_, before)| {
        (&before.uid, &before.inputs, &before.template)
            == (&rendered.uid, &rendered.inputs, &rendered.template)
    });
    let text = same.map_or_else(|| json!(rendered).to_string(), |(text, _)| text.to_owned());
    set["metadata"]["annotations"][RENDERED_ANNOTATION] = text.into();
}

/// Decides about the difference between the pod that there is and the wanted one; `None` if there is none, or no pod
/// template yet.
pub(crate) fn decide(observed: &Observed, valid: &Valid, pair: &Pair) -> Option<Update> {
    let live = live_set(observed, valid)?;
    let before = before(live);
    let is_same = match &before {
        Some(before) => before.template == *pair.template(),
        // An operator of before, or an admission policy that removes annotations. What is not in the new template was
        // not in any of theirs.
        None => {
            let hash = pair.set["metadata"]["annotations"][APPLIED_HASH_ANNOTATION].as_str();
            text_of(live, APPLIED_HASH_ANNOTATION) == hash
                || differences(pair.template(), &live.data["spec"]["template"]).is_empty()
        }
    };
    if is_same {
        return None;
    }
    let hash = pair.hash();
    let applied = |because: String, is_own| Some(Update::Applied { hash: hash.clone(), because, is_own });
    if is_of_spec(observed, valid, before.as_ref()) {
        return applied("the spec was changed".to_owned(), false);
    }
    if hibernation::is_stopped(observed) && observed.writer().pod.is_none() {
        return applied("the engine has no pod that would be restarted".to_owned(), true);
    }
    let approval = approval(observed);
    if let Some(given) = approval.as_ref().filter(|given| given.hash == hash) {
        return applied(given.described(), true);
    }
    let mut next_window = None;
    match &valid.update.when {
        UpdateWhen::Auto => return applied("spec.update.policy is Auto".to_owned(), true),
        UpdateWhen::Window(schedule, length) => {
            let opened = observed.now.checked_sub(*length).ok().and_then(|then| schedule.next(then));
            if opened.is_some_and(|opened| opened <= observed.now) {
                return applied("the window of spec.update is open".to_owned(), true);
            }
            next_window = opened;
        }
        UpdateWhen::OnApproval => {}
    }
    let refusal = approval.map(|given| {
        format!("{APPROVE_UPDATE_ANNOTATION} names {}, which is another update or none", given.hash)
    });
    let old = before.as_ref().map(|before| &before.template);
    let mut changes =
        changes::listed(old, live, live_config(observed, valid), pair.template(), pair.config_text());
    let kept = old.unwrap_or_else(|| &live.data["spec"]["template"]);
    let config_hash = kept["metadata"]["annotations"][CONFIG_HASH_ANNOTATION].as_str().map(str::to_owned);
    let there = live_config(observed, valid).map(|text| hex(&Sha256::digest(text)));
    if there.is_some() && there != config_hash {
        changes.truncate(crds::UPDATE_CHANGES_MAX - 1);
        changes.push("the ConfigMap, which somebody else has changed".to_owned());
    }
    Some(Update::Held(Held { hash, changes, next_window, refusal, config_hash }))
}

/// Whether the spec has changed in a part that the pod may depend on. Without an annotation, an operator of before has
/// applied the template: its status says for which generation.
fn is_of_spec(observed: &Observed, valid: &Valid, before: Option<&Rendered>) -> bool {
    let update = &valid.update;
    match before {
        Some(before) => {
            // Another version of the operator may write the same spec in another way.
            let same_generation = before.uid == valid.uid && before.generation == update.generation;
            let is_same = before.by != VERSION && same_generation;
            // A rollout has decided about another revision, whichever operator has rendered the one before.
            let is_moved = before.revision.is_some() && before.revision != update.revision;
            is_moved || !is_same && before.inputs != update.inputs
        }
        None => {
            let status = observed.engine.status.as_ref();
            status.and_then(|status| status.observed_generation) != Some(update.generation)
        }
    }
}

/// The StatefulSet with everything as it is wanted, except for the template, which stays as it was applied. `None` if
/// that is not known.
pub(crate) fn with_kept_template(observed: &Observed, valid: &Valid, set: &Value) -> Option<Value> {
    let live = live_set(observed, valid)?;
    let mut kept = set.clone();
    kept["spec"]["template"] = before(live)?.template;
    restamp(&mut kept);
    kept["metadata"]["annotations"][RENDERED_ANNOTATION] = annotation(live)?.into();
    // What is kept has the revision that it had.
    if let Some(running) = text_of(live, REVISION_ANNOTATION) {
        kept["metadata"]["annotations"][REVISION_ANNOTATION] = running.into();
    }
    Some(kept)
}

/// The ConfigMap with everything as it is wanted, except for the configuration, which stays as the pod has it. `None`
/// if somebody has changed it: what it was is not known.
pub(crate) fn with_kept_config(
    observed: &Observed,
    valid: &Valid,
    held: &Held,
    config: &Value,
) -> Option<Value> {
    let live = live_config(observed, valid)?;
    (Some(hex(&Sha256::digest(live))) == held.config_hash).then_some(())?;
    let mut kept = config.clone();
    kept["data"]["config.yaml"] = live.into();
    restamp(&mut kept);
    Some(kept)
}

fn restamp(object: &mut Value) {
    if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        annotations.remove(APPLIED_HASH_ANNOTATION);
    }
    if object.pointer("/metadata/annotations").is_some_and(|all| *all == json!({}))
        && let Some(Value::Object(metadata)) = object.get_mut("metadata")
    {
        metadata.remove("annotations");
    }
    stamp(object);
}

/// The StatefulSet that there is, if it belongs to this engine and is not being deleted.
fn live_set<'a>(observed: &'a Observed, valid: &Valid) -> Option<&'a DynamicObject> {
    ours(observed, &CHILDREN.stateful_set.key(&valid.name))
}

fn live_config<'a>(observed: &'a Observed, valid: &Valid) -> Option<&'a str> {
    let live = ours(observed, &CHILDREN.config.key(&valid.name))?;
    live.data.pointer("/data/config.yaml").and_then(Value::as_str)
}

fn ours<'a>(observed: &'a Observed, key: &ChildKey) -> Option<&'a DynamicObject> {
    let live = observed.children.get(key).map(AsRef::as_ref);
    live.filter(|live| is_ours(observed, key, live) && live.metadata.deletion_timestamp.is_none())
}

fn text_of<'a>(live: &'a DynamicObject, annotation: &str) -> Option<&'a str> {
    live.metadata.annotations.as_ref()?.get(annotation).map(String::as_str)
}

fn annotation(live: &DynamicObject) -> Option<&str> {
    text_of(live, RENDERED_ANNOTATION)
}

fn before(live: &DynamicObject) -> Option<Rendered> {
    serde_json::from_str(annotation(live)?).ok()
}

/// An approval.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    hash: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Approval {
    fn described(&self) -> String {
        let by = self.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("approved{by}{reason}")
    }
}

/// The approval in the annotation: the hash alone, or with a name and a reason.
fn approval(observed: &Observed) -> Option<Approval> {
    let text = observed.engine.metadata.annotations.as_ref()?.get(APPROVE_UPDATE_ANNOTATION)?;
    let text: String = text.chars().filter(|one| !one.is_control()).take(APPROVAL_CHARS_MAX).collect();
    let parsed = serde_json::from_str(&text).ok();
    let plain =
        Approval { hash: text.trim().chars().take(2 * HASH_DIGITS).collect(), by: None, reason: None };
    Some(parsed.unwrap_or(plain))
}
