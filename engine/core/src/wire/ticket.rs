//! Tickets: the verdict of the operator, without which the public port answers nothing.

use serde::{Deserialize, Serialize};

use super::mode::Teller;

/// Body of `PUT /ticket` on the admin port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverTicket {
    /// The challenge that the engine has reported last. A ticket with another one is refused, so that none counts
    /// twice, and none that was judged before the newest one.
    pub challenge: String,
    /// Who says so. A ticket of another resource, or of an older generation of it, is refused.
    pub told_by: Teller,
    /// Id of the log that was judged. A ticket for another log is refused.
    pub log_id: String,
    /// Whether clients outside of the cluster may reach the engine. If not, this is a withdrawal, which is always
    /// accepted.
    pub is_open: bool,
    /// How long the ticket is valid, from its arrival, seconds, 1 to 3600.
    pub ttl_seconds: u32,
    /// What happens then.
    pub on_expiry: OnExpiry,
    /// Names of the checks that held.
    pub checks: Vec<String>,
}

/// What happens when a ticket ends and no other has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// The public port closes.
    Close,
    /// The public port goes on, until a withdrawal comes.
    KeepLast,
}

/// The ticket of an engine with a public port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketHealth {
    /// What the next ticket has to contain.
    pub challenge: String,
    /// Whether the public port answers, and why.
    pub state: TicketState,
    /// Who has given the last ticket; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<Teller>,
    /// Lifetime of the ticket that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// What is left of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<u64>,
    /// What happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,
    /// Names of the checks that held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

/// Whether the public port answers, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// It does not: no ticket has come since the process has started.
    None,
    /// It does.
    Open,
    /// It does, although the ticket has ended.
    Kept,
    /// It does not: the ticket has ended.
    Expired,
    /// It does not: the verdict was withdrawn.
    Withdrawn,
}

impl TicketState {
    /// Whether the public port answers.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, TicketState::Open | TicketState::Kept)
    }
}
