//! Reads one object of an engine.

use std::sync::Arc;

use kube::api::DynamicObject;
use operator_core::names::{ChildKey, ChildKind};

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
