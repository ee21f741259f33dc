//! `AccessReady`: whether the engine can verify the tokens of every issuer that it accepts.

use engine_core::issuer::KEYS_LIFE_MAX;
use engine_core::wire::IssuerHealth;
use jiff::{SignedDuration, Timestamp};

use super::facts::Facts;
use crate::{
    conditions::{Reason, Truth, Verdict},
    report::quoted,
};

/// Longest description of one issuer, characters. A message has room for every issuer that a spec can name.
const ISSUER_CHARS_MAX: usize = 420;

/// What an issuer without keys needs.
const REMEDY: &str = "Callers with keys and certificates are not affected. Let the pod reach the issuer (DNS, \
                      NetworkPolicies, its authority), or correct its entry in spec.access.issuers";

fn issuers<'a>(facts: &'a Facts<'_>) -> &'a [IssuerHealth] {
    facts.health().map(|health| health.issuers.as_slice()).unwrap_or_default()
}

/// Whether the engine has not finished its first attempt to get the keys.
fn is_new(issuer: &IssuerHealth) -> bool {
    issuer.received_at.is_none() && issuer.fault.is_none()
}

/// The descriptions of all issuers of a kind; `None` if there is none.
fn described(
    facts: &Facts<'_>,
    is_of_kind: impl Fn(&IssuerHealth) -> bool,
    describe: impl Fn(&IssuerHealth) -> String,
) -> Option<String> {
    let found = issuers(facts).iter().filter(|issuer| is_of_kind(issuer));
    let texts: Vec<String> = found.map(|issuer| quoted(&describe(issuer), ISSUER_CHARS_MAX)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// The verdict if the engine refuses every token of an issuer, because it has no key of it.
pub(super) fn without_keys(facts: &Facts<'_>) -> Option<Verdict> {
    let texts = described(facts, |issuer| issuer.keys == 0 && !is_new(issuer), missing)?;
    let message =
        format!("tokens are refused, because the engine has no key of their issuer: {texts}. {REMEDY}");
    Some(Verdict::new(Truth::False, Reason::IssuerWithoutKeys, message))
}

fn missing(issuer: &IssuerHealth) -> String {
    let IssuerHealth { issuer: name, received_at, fault, .. } = issuer;
    match (received_at, fault) {
        (None, fault) => {
            format!("{name}: never received ({})", fault.as_deref().unwrap_or("not tried"))
        }
        (Some(at), Some(fault)) => {
            let hours = KEYS_LIFE_MAX.as_secs() / 3_600;
            format!("{name}: received last at {}, used for {hours} hours ({fault})", whole_seconds(*at))
        }
        (Some(at), None) => {
            format!("{name}: what it answered at {} has no key that can be used", whole_seconds(*at))
        }
    }
}

/// The verdict before the first attempt has ended.
pub(super) fn pending(facts: &Facts<'_>) -> Option<Verdict> {
    let texts = described(facts, is_new, |issuer| issuer.issuer.clone())?;
    let message = format!("the engine is fetching the keys of {texts}");
    Some(Verdict::new(Truth::Unknown, Reason::IssuerPending, message))
}

/// The verdict if the last keys of an issuer are still used, and it no longer gives any.
pub(super) fn not_answering(facts: &Facts<'_>) -> Option<Verdict> {
    let texts = described(facts, |issuer| issuer.fault.is_some(), aging)?;
    let message = format!("the last keys are still used, but new ones cannot be fetched: {texts}");
    Some(Verdict::new(Truth::True, Reason::IssuerNotAnswering, message))
}

fn aging(issuer: &IssuerHealth) -> String {
    let life = SignedDuration::try_from(KEYS_LIFE_MAX).unwrap_or_default();
    let end = issuer.received_at.and_then(|at| at.checked_add(life).ok());
    let end = end.map(|end| format!(", until {}", whole_seconds(end))).unwrap_or_default();
    format!("{}{end} ({})", issuer.issuer, issuer.fault.as_deref().unwrap_or_default())
}

/// The verdict on an engine that can verify the tokens of every issuer.
pub(super) fn established(facts: &Facts<'_>) -> Option<Verdict> {
    Some(match issuers(facts).len() {
        0 => Verdict::new(Truth::True, Reason::NoIssuers, "the engine accepts tokens of no issuer"),
        count => {
            let message = format!("the engine has the keys of every issuer: {count}");
            Verdict::new(Truth::True, Reason::IssuersKnown, message)
        }
    })
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
