//! Asks the standby of an engine what it has restored, and what it found when it compared that with the engine.

use operator_core::{names::standby_pod, observed::Observed, pod::PodView, validate::Essentials};

use crate::{
    context::{Context, identity},
    target::target,
};

/// Reads the report of the standby, if the spec wants one and its pod answers.
pub(crate) async fn observe(context: &Context, observed: &mut Observed, essentials: &Essentials) {
    if essentials.backup.as_ref().is_none_or(|backup| backup.standby.is_none()) {
        return;
    }
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let name = observed.engine.metadata.name.clone().unwrap_or_default();
    let Some(pod) = context.cache.pod(&namespace, &standby_pod(&name)) else { return };
    let pod = PodView::of(&pod);
    if !pod.running || pod.deleting || pod.ip.is_none() {
        return;
    }
    let engine = identity(observed.engine.as_ref());
    let answer = match target(context, &engine, Some(&pod)) {
        Ok(target) => context.engines.following(&target).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(following) => observed.standby = following.map(Box::new),
        Err(error) => {
            context.metrics.report_failures.inc();
            tracing::warn!(engine, pod = pod.name, %error, "the standby does not report");
        }
    }
}
