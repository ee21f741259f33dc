//! Pods that answer reads beside the writer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of readers of one engine: each of them reads the whole log from the writer.
pub const READERS_MAX: i32 = 32;

/// Pods that follow the log of the writer and answer reads under the Service `NAME-readers`. A reader has the resources
/// and the scheduling of the writer, and a disk of the size and class of the writer's volume, which ends with the pod:
/// what is on it is a copy, and nothing is lost with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readers {
    /// Number of readers, at most 32. `kubectl scale` and a HorizontalPodAutoscaler change it through the scale
    /// subresource: with them, leave it out of the manifest that a pipeline applies.
    #[serde(default)]
    #[schemars(range(min = 0, max = READERS_MAX))]
    pub replicas: i32,
}

/// The readers that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadersStatus {
    /// Number of reader pods.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Number of readers that have caught up with the log and answer.
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// Label selector of the pods, for autoscalers.
    #[schemars(length(max = 512))]
    pub selector: String,
}
