//! Reads objects of an engine.

use std::sync::Arc;

use kube::api::DynamicObject;
use operator_core::{
    names::{ChildKey, ChildKind},
    observed::Observed,
    tls::Unread,
};

use crate::{
    cache::{api, api_resource, slim},
    context::Context,
    error::{CALL_TIMEOUT, CallError, call},
};

/// Reads a child from the cache, or else from the API server: the cache contains only objects with the operator's
/// labels, and an object of this name without these labels may exist. It may belong to someone else, or be the
/// operator's with its labels removed. If `silent` is set, the API server is not queried.
pub(crate) async fn child(
    context: &Context,
    namespace: &str,
    key: &ChildKey,
    silent: bool,
) -> Result<Option<Arc<DynamicObject>>, CallError> {
    if let Some(object) = context.cache.child(namespace, key) {
        return Ok(Some(object));
    }
    if silent {
        return Err(CallError::TimedOut(CALL_TIMEOUT));
    }
    let api = api(&context.client, &api_resource(key.kind), Some(namespace));
    let mut found = match key.kind {
        // Without the definition of a kind, the API server answers 404 too, but with no details about an object.
        ChildKind::Certificate => match call(api.get(&key.name)).await {
            Err(error)
                if error.api().is_some_and(|status| status.code == 404 && status.details.is_some()) =>
            {
                None
            }
            answer => Some(answer?),
        },
        _ => call(api.get_opt(&key.name)).await?,
    };
    if let Some(object) = &mut found {
        slim(object);
    }
    Ok(found.map(Arc::new))
}

/// Reads children into what was observed. Ends at the first one that cannot be read, and returns why: whoever plans
/// with them needs all of them.
pub(crate) async fn children(
    context: &Context,
    observed: &mut Observed,
    keys: impl IntoIterator<Item = ChildKey>,
    silent: bool,
) -> Option<Unread> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    for key in keys {
        match child(context, &namespace, &key, silent).await {
            Ok(Some(object)) => drop(observed.children.insert(key, object)),
            Ok(None) => {}
            Err(error) => return Some(unread(&namespace, &key, &error)),
        }
    }
    None
}

/// Logs and describes why an object could not be read.
pub(crate) fn unread(namespace: &str, key: &ChildKey, error: &CallError) -> Unread {
    tracing::warn!(%namespace, object = %key, %error, "an object could not be read");
    let is_forbidden = error.api().is_some_and(|status| status.code == 403);
    Unread { is_forbidden, text: error.to_string() }
}
