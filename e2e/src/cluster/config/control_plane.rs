//! API server and scheduler.

use serde_json::json;

use super::pretty;
use crate::cluster::layout::Layout;

/// Who did what to which object, once per request: the tests read it.
pub(super) fn audit_policy() -> String {
    pretty(&json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }))
}

/// A pod that waits for a ReadWriteOncePod volume is tried again after a second, not after ten.
pub(super) fn scheduler(layout: &Layout) -> String {
    pretty(&json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": layout.text("config/scheduler.kubeconfig"), "qps": 200, "burst": 400},
        "leaderElection": {"leaderElect": false},
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    }))
}
