//! Configuration of the API server and the scheduler.

use serde_json::json;

use super::pretty::pretty;
use crate::cluster::layout::Layout;

/// Audit policy that records each request once: user, verb and object. The tests read this log.
pub(super) fn audit_policy() -> String {
    pretty(&json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }))
}

/// Scheduler configuration. A pod that waits for a ReadWriteOncePod volume is retried after one second instead of ten.
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
