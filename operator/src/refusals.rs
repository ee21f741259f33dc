//! Reads the reason why Kubernetes does not create the pod. Only events of the StatefulSet contain it. They are read
//! only while the pod is missing, so that a healthy engine causes no such requests.

use k8s_openapi::api::{core::v1::LimitRange, events::v1::Event};
use kube::{Api, api::ListParams};
use operator_core::{
    children::CHILDREN,
    observed::{Observed, PodRefusal},
    refusal,
};

use crate::{
    context::{Context, identity},
    error::call,
};

/// Maximum age of an event. A StatefulSet's controller retries at least every 1000 seconds.
const EVENT_SECONDS_MAX: i64 = 1200;
/// Maximum number of events and of LimitRanges per read; normally there are only a few.
const ITEMS_MAX: u32 = 50;

/// The last message of the StatefulSet's controller about a pod that it could not create.
pub(crate) async fn pod_refusal(context: &Context, observed: &Observed) -> PodRefusal {
    let Some(message) = newest_words(context, observed).await else { return PodRefusal::Unknown };
    let limit_ranges =
        if refusal::is_about_limits(&message) { limit_ranges(context, observed).await } else { Vec::new() };
    PodRefusal::Reported { message, limit_ranges }
}

async fn newest_words(context: &Context, observed: &Observed) -> Option<String> {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let set = observed.children.get(&CHILDREN.stateful_set.key(name))?;
    let uid = set.metadata.uid.as_deref()?;
    let events: Api<Event> = Api::namespaced(context.client.clone(), namespace(observed));
    let about =
        ListParams::default().fields(&format!("regarding.uid={uid},reason=FailedCreate")).limit(ITEMS_MAX);
    let found = match call(events.list(&about)).await {
        Ok(found) => found.items,
        Err(error) => {
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "events were not read");
            return None;
        }
    };
    let recent = found.into_iter().filter_map(|event| {
        let second = last_seen(&event)?;
        (observed.now.as_second() - second <= EVENT_SECONDS_MAX).then_some((second, event.note?))
    });
    recent.max_by_key(|(second, _)| *second).map(|(_, note)| note)
}

/// The time of the last occurrence of an event, in seconds since 1970. Recorders store this time in different fields.
fn last_seen(event: &Event) -> Option<i64> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0.as_second());
    let legacy = event.deprecated_last_timestamp.as_ref().map(|time| time.0.as_second());
    let once = event.event_time.as_ref().map(|time| time.0.as_second());
    let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    [series, legacy, once, made].into_iter().flatten().max()
}

async fn limit_ranges(context: &Context, observed: &Observed) -> Vec<String> {
    let ranges: Api<LimitRange> = Api::namespaced(context.client.clone(), namespace(observed));
    match call(ranges.list(&ListParams::default().limit(ITEMS_MAX))).await {
        Ok(found) => found.items.into_iter().filter_map(|range| range.metadata.name).collect(),
        Err(error) => {
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "LimitRanges were not read");
            Vec::new()
        }
    }
}

fn namespace(observed: &Observed) -> &str {
    observed.engine.metadata.namespace.as_deref().unwrap_or_default()
}
