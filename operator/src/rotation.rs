//! Reads what a rotation of the operator's token depends on, and makes the tokens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine_core::access::{ApiKey, KEY_RANDOM_BYTES};
use operator_core::{
    children::rotation_keys,
    names::{ChildKey, admin_token_secret},
    observed::Observed,
    plan::{Rotate, Write},
    rotation::{Change, PREVIOUS_ENTRY, RotationView, TOKEN_ENTRY},
    secrets::OWNED_TOKEN,
    tls::Unread,
    validate::Essentials,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{
    admin_tokens::AdminTokens,
    context::{Context, identity},
    read_child::{child, unread},
};

/// Whether the spec wants a rotation, or objects of an earlier one may exist.
pub(crate) fn is_rotated(observed: &Observed, essentials: &Essentials) -> bool {
    let field = format!("spec.{OWNED_TOKEN}");
    let before = observed.engine.status.as_ref().map(|status| status.secrets.as_slice()).unwrap_or_default();
    essentials.rotation.is_some() || before.iter().any(|one| one.reference == field)
}

/// Reads the objects of a rotation. The view may already have the token.
pub(crate) async fn observe(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: bool,
) {
    if !is_rotated(observed, essentials) {
        observed.rotation = None;
        return;
    }
    let (namespace, name) = {
        let engine = &observed.engine.metadata;
        (engine.namespace.clone().unwrap_or_default(), engine.name.clone().unwrap_or_default())
    };
    let mut view = observed.rotation.take().unwrap_or_default();
    // The Secret of a rotation that is wanted was read with the other Secrets.
    let secret = essentials.rotation.is_none().then(|| admin_token_secret(&name));
    for key in rotation_keys(&name).into_iter().chain(secret) {
        if view.unread.is_some() {
            break;
        }
        view.unread = read(context, observed, (&namespace, key), silent).await;
    }
    observed.rotation = Some(view);
}

/// Reads one object, without the values of a Secret; returns why it could not be read.
async fn read(
    context: &Context,
    observed: &mut Observed,
    (namespace, key): (&str, ChildKey),
    silent: bool,
) -> Option<Unread> {
    match child(context, namespace, &key, silent).await {
        Ok(Some(mut object)) => {
            if key.kind == operator_core::names::ChildKind::Secret {
                let mut bare = object.as_ref().clone();
                bare.data = Value::Null;
                object = bare.into();
            }
            observed.children.insert(key, object);
            None
        }
        Ok(None) => None,
        Err(error) => Some(unread(namespace, &key, &error)),
    }
}

/// Notes whether the engine has accepted the newest token.
pub(crate) fn note_acceptance(context: &Context, observed: &mut Observed) {
    let engine = identity(observed.engine.as_ref());
    if let Some(RotationView { is_accepted, .. }) = &mut observed.rotation {
        *is_accepted = context.admin_tokens.is_accepted(&engine);
    }
}

/// The write of the Secret. Neither the write nor its object is logged, because it contains a token. `None` if the
/// machine gives no random bytes, or the token that is to be kept is not known: the next reconcile plans it again.
pub(crate) fn rotate_write(observed: &Observed, rotate: &Rotate, tokens: &AdminTokens) -> Option<Write> {
    let known = tokens.known(&identity(observed.engine.as_ref()));
    let known = known.as_ref().map(|known| known.newest());
    let mut data = Map::new();
    let mut enter = |entry: &str, token: &SecretString| {
        data.insert(entry.to_owned(), STANDARD.encode(token.expose_secret()).into());
    };
    match &rotate.change {
        Change::Issue => enter(TOKEN_ENTRY, &made()?),
        Change::Begin { .. } => {
            enter(PREVIOUS_ENTRY, known?);
            enter(TOKEN_ENTRY, &made()?);
        }
        Change::Retire => enter(TOKEN_ENTRY, known?),
    }
    let (key, mut object) = (rotate.key.clone(), rotate.object.clone());
    object["type"] = "Opaque".into();
    object["data"] = data.into();
    Some(match observed.children.contains_key(&key) {
        true => Write::Update { key, object, because: rotate.change.because().to_owned() },
        false => Write::Create { key, object },
    })
}

/// A new token.
fn made() -> Option<SecretString> {
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).ok()?;
    Some(ApiKey::of_random(&random).secret_text().to_owned().into())
}

#[cfg(test)]
mod tests;
