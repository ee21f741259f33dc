//! What a new operator takes over from the status.

use std::sync::Arc;

use crds::{MemoryEngine, PublicExposure, PublicLoadBalancer};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    apply::tests::{context, engine},
    mock_api::MockApi,
};

fn withdrawn(generation: i64) -> MemoryEngine {
    let mut engine = engine();
    engine.spec.exposure.public = Some(PublicExposure {
        hosts: vec!["memory.example.org".into()],
        load_balancer: Some(PublicLoadBalancer::default()),
        ..PublicExposure::default()
    });
    let condition = json!({
        "type": "Exposed", "status": "False", "reason": Reason::FrontDoorUnsafe.as_str(), "message": "answered 200",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation,
    });
    let conditions = vec![serde_json::from_value(condition).expect("a condition")];
    engine.status = Some(crds::MemoryEngineStatus { conditions, ..Default::default() });
    engine
}

/// A new operator knows from the status that the engine answered strangers, also while the API server is silent, and
/// only under the spec for which that was found.
#[tokio::test]
async fn another_operator_keeps_an_engine_withdrawn_that_answered_strangers() {
    for (generation, is_silent, is_held) in [(1, false, true), (1, true, true), (0, false, false)] {
        let (context, _leading) = context(MockApi::start().0);
        let engine = withdrawn(generation);
        let essentials = Essentials::of(&engine);
        let mut observed = Observed::only(Arc::new(engine), Timestamp::now());
        observe(&context, &mut observed, &essentials, is_silent).await;
        let is_unsafe = matches!(observed.front_door, FrontDoor::Unsafe(_));
        assert_eq!(is_unsafe, is_held, "{generation} {is_silent}: {:?}", observed.front_door);
    }
}
