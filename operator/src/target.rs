//! Which engine is called, and how.

use operator_core::pod::PodView;

use crate::{
    context::Context,
    engine_client::{ReportError, Target},
};

/// The engine in a pod. A pod that was started with TLS is never called without it.
pub(crate) fn target(context: &Context, engine: &str, pod: Option<&PodView>) -> Result<Target, ReportError> {
    let ip = pod.and_then(|pod| pod.ip.clone()).unwrap_or_default();
    let has_tls = pod.is_some_and(|pod| pod.has_tls);
    let token = context.admin_tokens.known(engine).filter(|token| token.may_be_sent(has_tls));
    let tls = has_tls.then(|| context.tls_clients.known(engine));
    match tls {
        None => Ok(Target { ip, tls: None, token }),
        Some(Some(client)) => Ok(Target { ip, tls: Some(client), token }),
        Some(None) => Err(ReportError::NoCertificate),
    }
}
