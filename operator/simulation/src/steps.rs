//! The steps of the simulated worlds. They are short, so that many worlds fit into a test.

use std::collections::BTreeSet;

use operator_core::rollout::{CanaryStep, Metric, Settings};

/// How long each step lasts.
pub(crate) fn settings() -> Settings {
    Settings {
        dark_launch_s: 60,
        shadow_s: 300,
        canary: vec![CanaryStep { weight: 10, soak_s: 240 }],
        ready_s: 3_600,
        promoting_s: 3_600,
        soaking_s: 60,
        gates: BTreeSet::from(Metric::ALL),
    }
}
