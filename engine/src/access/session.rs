//! Who sends the request that is being handled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use engine_core::access::{Caller, CallerKind, Denial, Scope};
use engine_core::wire::ErrorCode;

use tokio::sync::OnceCell;

use super::accounts::Accounts;
use super::records::{ALLOWED, Outcome};
use crate::refusal::Refusal;

/// Who is told what a request has searched for.
pub(crate) trait Listener: std::fmt::Debug + Send + Sync {
    /// A search was answered that has these parameters at `GET /v1/search`.
    fn searched(&self, parameters: &[(String, String)]);
}

/// The caller of one request, and where decisions about it are recorded. Clones belong to the same request.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    caller: Arc<Caller>,
    /// None for the process itself, whose requests are neither limited nor recorded.
    accounts: Option<Arc<Accounts>>,
    /// Whether the request was counted against the rate and recorded as allowed.
    settled: Arc<AtomicBool>,
    /// The caller with the stored names of its projects, once they are known.
    own: Arc<OnceCell<Option<Caller>>>,
    /// The scope that the request lacked, for the header of the answer.
    missing: Arc<OnceLock<Scope>>,
    /// Whether the request repeats a question to compare the answers of two revisions.
    is_compared: bool,
    /// Who is told what the request has searched for, if somebody is.
    listener: Option<Arc<dyn Listener>>,
}

impl Session {
    /// The process itself, or whoever started it.
    pub(crate) fn local() -> Session {
        Session::of(Arc::new(Caller::local()), None)
    }

    pub(super) fn of(caller: Arc<Caller>, accounts: Option<Arc<Accounts>>) -> Session {
        Session {
            caller,
            accounts,
            settled: Arc::default(),
            own: Arc::default(),
            missing: Arc::default(),
            is_compared: false,
            listener: None,
        }
    }

    /// The same caller in another request of the same message, which is limited and recorded on its own.
    pub(crate) fn next_request(&self) -> Session {
        Session { settled: Arc::default(), ..self.clone() }
    }

    /// The same caller in a repetition of its request, whose answer is compared. Nothing is answered from a cache then.
    pub(crate) fn compared(&self) -> Session {
        Session { is_compared: true, listener: None, ..self.clone() }
    }

    /// The same request, of which somebody is told what it has searched for.
    pub(crate) fn heard_by(&self, listener: Arc<dyn Listener>) -> Session {
        Session { listener: Some(listener), ..self.clone() }
    }

    /// Who is told what the request has searched for.
    pub(crate) fn listener(&self) -> Option<&dyn Listener> {
        self.listener.as_deref()
    }

    /// The same caller in a repetition by this engine of what was limited and recorded before.
    pub(crate) fn repeated(&self) -> Session {
        Session { settled: Arc::new(AtomicBool::new(true)), listener: None, ..self.clone() }
    }

    /// Whether the request repeats a question to compare the answers of two revisions.
    pub(crate) fn is_compared(&self) -> bool {
        self.is_compared
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where the gate keeps the caller with the stored names of its projects, for the time of the request.
    pub(crate) fn own(&self) -> &OnceCell<Option<Caller>> {
        &self.own
    }

    /// The scope that was missing when a part of the request was denied.
    pub(crate) fn missing_scope(&self) -> Option<Scope> {
        self.missing.get().copied()
    }

    /// Records a denial and returns the error for it. What is denied counts against the rate of the caller too.
    pub(crate) fn denied(&self, scope: Scope, project: &str, denial: Denial) -> Refusal {
        // Not in the bucket of the project: the caller could name any number of them.
        if let Err(refusal) = self.count(scope, "") {
            return refusal;
        }
        self.record_denied(scope, project, denial.label());
        match denial {
            Denial::MissingScope => {
                let _first_counts = self.missing.set(scope);
                let rule = format!("the key of this request lacks the scope {}", scope.word());
                Refusal::new(ErrorCode::InsufficientScope, rule)
                    .hint("nothing was done; docs/guide/access.md")
            }
            // The same words whether or not the project exists.
            Denial::OtherProject => Refusal::new(
                ErrorCode::ProjectForbidden,
                "the key of this request is not bound to this project",
            )
            .hint("nothing was done; name a project that the key is bound to"),
            Denial::ProjectNotNamed => {
                let rule = "the key of this request is bound to several projects, and the request names none";
                Refusal::new(ErrorCode::ProjectForbidden, rule).hint("name one of them as the project")
            }
            Denial::NoProject => {
                let rule = "the token of this request names no project";
                Refusal::new(ErrorCode::ProjectForbidden, rule)
                    .hint("nothing was done; the issuer decides about the projects of a token")
            }
            Denial::NotEveryProject => {
                let rule = "this is about every project, and the key of this request is bound to some";
                Refusal::new(ErrorCode::ProjectForbidden, rule).hint("use a key whose projects are \"*\"")
            }
        }
    }

    /// Records that something was denied.
    pub(crate) fn record_denied(&self, scope: Scope, project: &str, reason: &'static str) {
        if let Some(accounts) = &self.accounts {
            let caller = self.caller.name.as_str();
            let outcome = Outcome { caller, scope: Some(scope), project, reason };
            accounts.denied(&self.caller.account(), &outcome);
        }
    }

    /// Counts the request against the rate of the caller in the project, and records that it is allowed. Only the first
    /// call in a request does something.
    ///
    /// # Errors
    /// The caller sends more requests than it may.
    pub(crate) fn settle(&self, scope: Scope, project: &str) -> Result<(), Refusal> {
        if !self.count(scope, project)? {
            return Ok(());
        }
        let Some(accounts) = &self.accounts else { return Ok(()) };
        match self.caller.kind {
            // Without access control there is nothing to record about anybody.
            CallerKind::Anonymous => accounts.records.count(ALLOWED),
            _ => accounts.records.allowed(&self.caller.name, scope, project),
        }
        Ok(())
    }

    /// Counts the request against the rate of the caller in the project. Returns whether that is the first time.
    ///
    /// # Errors
    /// The caller sends more requests than it may.
    fn count(&self, scope: Scope, project: &str) -> Result<bool, Refusal> {
        let Some(accounts) = &self.accounts else { return Ok(false) };
        if self.settled.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        if self.caller.kind == CallerKind::Anonymous {
            return Ok(true);
        }
        if let Err(seconds) = accounts.take(&self.caller.account(), project) {
            self.record_denied(scope, project, "rate_limited");
            let rule = "more requests of one key in one project than access.requestsPerSecond allows";
            return Err(Refusal::new(ErrorCode::RateLimited, rule)
                .hint("nothing was done; repeat it after Retry-After seconds")
                .retry_after(seconds));
        }
        Ok(true)
    }
}
