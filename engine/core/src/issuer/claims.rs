//! What a token with a right signature says about its caller.

use jiff::Timestamp;
use serde_json::Value;

use super::TokenFault;
use crate::access::{Caller, CallerKind, Projects, Scope};
use crate::configuration::{ACCESS_PROJECTS_MAX, AccessIssuer, EVERY_PROJECT};
use crate::event::LOG_PROJECT;
use crate::request;
use crate::words::normal_form;

/// Maximum length of the name of a caller, in characters: that of `sub` in OpenID Connect.
const SUBJECT_CHARS_MAX: usize = 255;
/// Maximum number of audiences in a token.
const TOKEN_AUDIENCES_MAX: usize = 64;

/// The caller of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Who it is, and what it may do.
    pub caller: Caller,
    /// When the token stops being accepted.
    pub until: Timestamp,
}

/// Decides whether a token is accepted whose signature is right, and who its caller is.
///
/// # Errors
/// It is not accepted.
pub fn judge(claims: &Value, rules: &AccessIssuer, now: Timestamp) -> Result<Accepted, TokenFault> {
    if claims.get("iss").and_then(Value::as_str) != Some(rules.issuer.as_str()) {
        return Err(TokenFault::Issuer);
    }
    check_audience(claims, rules)?;
    let until = check_times(claims, rules, now)?;
    for (name, value) in &rules.required_claims {
        if claim(claims, name).and_then(Value::as_str) != Some(value.as_str()) {
            return Err(TokenFault::Claims);
        }
    }
    let subject = claim(claims, rules.subject_claim()).and_then(Value::as_str).ok_or(TokenFault::Claims)?;
    let is_name = (1..=SUBJECT_CHARS_MAX).contains(&subject.chars().count())
        && !subject.chars().any(|letter| letter.is_control());
    if !is_name {
        return Err(TokenFault::Claims);
    }
    let caller = Caller {
        // An issuer has no fragment, so no two callers have the same name.
        name: format!("{}#{subject}", rules.issuer),
        kind: CallerKind::Token,
        scopes: scopes(claims, rules),
        projects: projects(claims, rules)?,
    };
    Ok(Accepted { caller, until })
}

/// The value of a claim: by its name, or by a JSON Pointer, which begins with `/`.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// The texts of a claim that has one or several; none if it has something else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn check_audience(claims: &Value, rules: &AccessIssuer) -> Result<(), TokenFault> {
    let named = claims.get("aud").and_then(texts).ok_or(TokenFault::Audience)?;
    let is_named = |audience: &String| named.iter().any(|one| one == audience);
    let is_right = named.len() <= TOKEN_AUDIENCES_MAX && rules.audiences.iter().any(is_named);
    is_right.then_some(()).ok_or(TokenFault::Audience)
}

/// A time of a claim in seconds; fractions are dropped.
fn time(value: &Value) -> Result<i64, TokenFault> {
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "the bounds are far within those of the type")]
        (0.0..=1e12).contains(&seconds).then_some(seconds as i64)
    });
    let seconds = seconds.filter(|seconds| (0..=Timestamp::MAX.as_second()).contains(seconds));
    seconds.ok_or(TokenFault::Claims)
}

/// Checks the times of a token, and returns when it stops being accepted.
fn check_times(claims: &Value, rules: &AccessIssuer, now: Timestamp) -> Result<Timestamp, TokenFault> {
    let (now, skew) = (now.as_second(), i64::from(rules.clock_skew_seconds()));
    let of = |name: &str| claims.get(name).map(time).transpose();
    // Without an end, a token that leaks would be valid for ever.
    let expires = of("exp")?.ok_or(TokenFault::Claims)?;
    let issued = of("iat")?;
    if now >= expires.saturating_add(skew) {
        return Err(TokenFault::Expired);
    }
    if [of("nbf")?, issued].into_iter().flatten().any(|begin| begin > now.saturating_add(skew)) {
        return Err(TokenFault::NotYet);
    }
    let mut until = expires.saturating_add(skew);
    if let Some(age) = rules.max_token_age_seconds {
        let end = issued.ok_or(TokenFault::Claims)?.saturating_add(i64::from(age)).saturating_add(skew);
        if now >= end {
            return Err(TokenFault::TooOld);
        }
        until = until.min(end);
    }
    Ok(Timestamp::from_second(until).unwrap_or(Timestamp::MAX))
}

/// The scopes of the caller. Words that mean none are for other services.
fn scopes(claims: &Value, rules: &AccessIssuer) -> Vec<Scope> {
    if !rules.scopes.is_empty() {
        return rules.scopes.clone();
    }
    let Some(found) = claim(claims, rules.scopes_claim()).and_then(texts) else { return Vec::new() };
    let words: Vec<&str> = found.iter().flat_map(|text| text.split(' ')).collect();
    let has = |scope: &&Scope| {
        words.iter().any(|word| word.strip_prefix(rules.scope_prefix()) == Some(scope.word()))
    };
    Scope::ALL.iter().filter(has).copied().collect()
}

/// The projects of the caller. What is no name of a project is left out: `*` too, because an issuer does not decide
/// about every project of an engine.
fn projects(claims: &Value, rules: &AccessIssuer) -> Result<Projects, TokenFault> {
    if matches!(rules.projects.as_slice(), [only] if only == EVERY_PROJECT) {
        return Ok(Projects::All);
    }
    if !rules.projects.is_empty() {
        return Ok(Projects::Only(
            rules.projects.iter().map(|name| normal_form(name).into_owned()).collect(),
        ));
    }
    let found = claim(claims, rules.projects_claim()).and_then(texts).unwrap_or_default();
    // Some of them would be a matter of chance.
    if found.len() > ACCESS_PROJECTS_MAX {
        return Err(TokenFault::Claims);
    }
    let is_project = |name: &&str| {
        *name != EVERY_PROJECT && *name != LOG_PROJECT && request::filter("project", name).is_ok()
    };
    let names = found.into_iter().filter(is_project).map(|name| normal_form(name).into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    Ok(Projects::Only(names))
}
