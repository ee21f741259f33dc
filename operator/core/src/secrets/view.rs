//! What one reconcile found about the Secrets of a spec.

use super::{ages::Ages, examine::Finding, fault::SecretFault, reference::Purpose};

/// The Secrets that the spec refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretsView {
    /// One finding for each reference.
    pub findings: Vec<Finding>,
    /// What the operator's own Secret remembers, if it could be read.
    pub remembered: Option<Ages>,
    /// What it should remember. None if nothing can be remembered.
    pub to_remember: Option<Ages>,
}

impl SecretsView {
    /// Everything that is wrong, each with its reference.
    pub fn faults(&self) -> impl Iterator<Item = (&Finding, &SecretFault)> {
        self.findings.iter().filter_map(|finding| Some((finding, finding.fault()?)))
    }

    /// Whether nothing may be rolled out. The operator could not talk to an engine that demands a token which it cannot
    /// read.
    #[must_use]
    pub fn holds_changes(&self) -> bool {
        let is_token = |finding: &Finding| finding.reference.purpose == Purpose::Administrator;
        let mut unread = self.findings.iter().filter(|finding| finding.unread().is_some());
        self.faults().any(|(_, fault)| fault.holds_changes()) || unread.any(is_token)
    }
}
