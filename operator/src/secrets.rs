//! Reads the Secrets that a spec refers to. Values stay in this file: what is passed on are findings and codes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::MemoryEngine;
use futures::{StreamExt, stream};
use kube::{Api, api::DynamicObject};
use operator_core::{
    names::{ChildKind, ages_secret, secret},
    observed::Observed,
    plan::{Remember, Write},
    rotation::{OwnedToken, PREVIOUS_ENTRY, RotationView},
    secrets::{
        AGES_KEY_BYTES, Ages, Looked, Purpose, Reference, SecretsView, VALUE_BYTES_MAX, admin_token, examine,
        values,
    },
    tls::Unread,
    validate::Essentials,
};
use serde_json::{Value, json};

use crate::{
    cache::{api, api_resource, slim},
    context::{Context, identity},
    error::{CALL_TIMEOUT, CallError, call},
};

/// Secrets of one engine that are read at the same time: an engine with many keys must not delay the others.
const READ_AT_ONCE: usize = 8;
/// Entries of the operator's own Secret: the key, and when each value was seen first.
const KEY_ENTRY: &str = "key";
const SEEN_ENTRY: &str = "first-seen";

/// Reads the Secrets that the spec refers to, each once. They are read in each reconcile, and neither watched nor
/// cached: the operator has no permission to list Secrets. Returns `None` if the spec refers to none, and did not
/// before. If `silent` is set, the API server is
/// not queried; a read that times out sets it.
pub(crate) async fn referenced(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: &mut bool,
) -> Option<SecretsView> {
    let engine = Arc::clone(&observed.engine);
    let references = essentials.secrets.as_slice();
    let has_been_used = engine.status.as_ref().is_some_and(|status| !status.secrets.is_empty());
    if references.is_empty() && !has_been_used {
        return None;
    }
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let api = api(&context.client, &api_resource(ChildKind::Secret), Some(&namespace));
    let own = ages_secret(engine.metadata.name.as_deref().unwrap_or_default());
    // The operator's own Secret is not one that a spec can refer to.
    let names = references.iter().map(|one| one.secret.clone()).filter(|name| *name != own.name);
    let names: BTreeSet<String> = names.collect();
    // If the API server does not respond to one read, the others are not tried: each would wait for the timeout.
    let is_silent = AtomicBool::new(*silent);
    let reads = names.into_iter().map(|name| looked_up(&api, name, &is_silent));
    let read_all: Vec<Read> = stream::iter(reads).buffered(READ_AT_ONCE).collect().await;
    observed.rotation = owned_token(observed, references, &read_all);
    let secrets: BTreeMap<String, Looked> =
        read_all.into_iter().map(|read| (read.name, read.looked)).collect();
    let (remembered, is_known) = match read(&api, &own.name, &is_silent).await {
        Ok(Some(mut object)) => {
            let ages = ages(&object);
            object.data = Value::Null;
            slim(&mut object);
            observed.children.insert(own, Arc::new(object));
            (ages, true)
        }
        Ok(None) => (None, true),
        Err(_) => (None, false),
    };
    *silent |= is_silent.load(Ordering::Relaxed);
    keep_token(context, &engine, references, &secrets, essentials.tls);
    let to_remember =
        is_known.then(|| to_remember(remembered.clone(), references, &secrets, observed)).flatten();
    // What is not stored yet is not known: if it can never be stored, the age would begin anew in each reconcile.
    let findings =
        examine(references, &secrets, remembered.as_ref(), essentials.secrets_max_age_days, observed.now);
    Some(SecretsView { findings, remembered, to_remember })
}

async fn read(
    api: &Api<DynamicObject>,
    name: &str,
    silent: &AtomicBool,
) -> Result<Option<DynamicObject>, CallError> {
    if silent.load(Ordering::Relaxed) {
        return Err(CallError::TimedOut(CALL_TIMEOUT));
    }
    let answer = call(api.get_opt(name)).await;
    if matches!(answer, Err(CallError::TimedOut(_))) {
        silent.store(true, Ordering::Relaxed);
    }
    answer
}

/// A Secret that was read.
struct Read {
    name: String,
    looked: Looked,
    /// It without its values.
    bare: Option<DynamicObject>,
}

async fn looked_up(api: &Api<DynamicObject>, name: String, silent: &AtomicBool) -> Read {
    let (looked, bare) = match read(api, &name, silent).await {
        Ok(None) => (Looked::Missing, None),
        Ok(Some(mut object)) => {
            let looked = Looked::Found(bounded(entries(&object)));
            object.data = Value::Null;
            slim(&mut object);
            (looked, Some(object))
        }
        Err(error) => {
            let is_forbidden = error.api().is_some_and(|status| status.code == 403);
            (Looked::Unread(Unread { is_forbidden, text: error.to_string() }), None)
        }
    };
    Read { name, looked, bare }
}

/// Keeps the token of the administration port for the calls of this reconcile. Until the pod is replaced, it demands a
/// token that the spec no longer names; with the resource, the token is dropped.
fn keep_token(
    context: &Context,
    engine: &MemoryEngine,
    references: &[Reference],
    secrets: &BTreeMap<String, Looked>,
    wants_tls: bool,
) {
    let identity = identity(engine);
    if engine.metadata.deletion_timestamp.is_some() {
        return context.admin_tokens.forget(&identity);
    }
    let administrator = |one: &&Reference| one.purpose == Purpose::Administrator;
    let Some(reference) = references.iter().find(administrator) else { return };
    let previous = Reference { key: PREVIOUS_ENTRY.to_owned(), ..reference.clone() };
    let previous = admin_token(std::slice::from_ref(&previous), secrets).filter(|_| reference.is_owned());
    if let Some(token) = admin_token(references, secrets) {
        let uid = engine.metadata.uid.as_deref().unwrap_or_default();
        context.admin_tokens.keep(&identity, (uid, wants_tls), token, previous);
    }
}

/// What the Secret of the operator's token shows, if the spec wants one. The object is kept without its values.
fn owned_token(observed: &mut Observed, references: &[Reference], read: &[Read]) -> Option<RotationView> {
    let reference = references.iter().find(|one| one.is_owned())?;
    let found = read.iter().find(|one| one.name == reference.secret)?;
    let mut view = RotationView::default();
    match &found.looked {
        Looked::Missing => {}
        Looked::Unread(unread) => view.unread = Some(unread.clone()),
        Looked::Found(entries) => {
            let one = BTreeMap::from([(reference.secret.clone(), Looked::Found(entries.clone()))]);
            let is_usable = admin_token(std::slice::from_ref(reference), &one).is_some();
            let has_previous = entries.contains_key(PREVIOUS_ENTRY);
            let bare = found.bare.clone()?;
            view.token = Some(OwnedToken::of(&bare, is_usable, has_previous));
            observed.children.insert(secret(&reference.secret), Arc::new(bare));
        }
    }
    Some(view)
}

/// Keeps no more of a value than shows that it is too long. A Secret can have a megabyte.
fn bounded(mut entries: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    for value in entries.values_mut() {
        value.truncate(VALUE_BYTES_MAX + 1);
        value.shrink_to_fit();
    }
    entries
}

fn entries(object: &DynamicObject) -> BTreeMap<String, Vec<u8>> {
    let data = object.data.get("data").and_then(Value::as_object);
    let decoded =
        |(key, value): (&String, &Value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?));
    data.into_iter().flatten().filter_map(decoded).collect()
}

/// What the operator's own Secret remembers; `None` if somebody has damaged it. Then all ages begin anew.
fn ages(object: &DynamicObject) -> Option<Ages> {
    let entries = entries(object);
    Ages::read(entries.get(KEY_ENTRY)?, entries.get(SEEN_ENTRY)?)
}

/// What should be remembered. `None` without a value, and without a random key.
fn to_remember(
    remembered: Option<Ages>,
    references: &[Reference],
    secrets: &BTreeMap<String, Looked>,
    observed: &Observed,
) -> Option<Ages> {
    values(references, secrets).next()?;
    let mut ages = remembered.or_else(new_ages)?;
    ages.remember(values(references, secrets), observed.now);
    Some(ages)
}

fn new_ages() -> Option<Ages> {
    let mut key = [0; AGES_KEY_BYTES];
    getrandom::fill(&mut key).ok()?;
    Some(Ages::new(key))
}

/// The write of the operator's own Secret. Neither the write nor its object is logged or kept, because it contains a
/// key.
pub(crate) fn remember_write(observed: &Observed, remember: &Remember) -> Option<Write> {
    let ages = observed.secrets.as_ref()?.to_remember.as_ref()?;
    let (key, mut object) = (remember.key.clone(), remember.object.clone());
    object["type"] = "Opaque".into();
    object["data"] =
        json!({KEY_ENTRY: STANDARD.encode(ages.key()), SEEN_ENTRY: STANDARD.encode(ages.text())});
    Some(match observed.children.contains_key(&key) {
        true => Write::Update { key, object, because: "a value was seen for the first time".to_owned() },
        false => Write::Create { key, object },
    })
}

#[cfg(test)]
mod tests;
