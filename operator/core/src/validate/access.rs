//! Validates `spec.access`.

use std::collections::BTreeSet;

use crds::{
    ACCESS_CERTIFICATES_MAX, ACCESS_ISSUERS_MAX, ACCESS_KEYS_MAX, ACCESS_PROJECTS_MAX, Access, AccessKey,
};
use engine_core::event::LOG_PROJECT;
use engine_core::request;
use jiff::Timestamp;

use super::{access_fault::AccessFault, external_service::is_reference, fault::Fault};
use crate::build::{access_certificate, access_issuer};
use crate::secrets::{EVERY_PROJECT, entries};

/// Bounds of the rate, and of its burst.
const RATE_MAX: i32 = 1_000_000;
/// Maximum age of a key, days: ten years.
const AGE_DAYS_MAX: i32 = 3_650;
/// Maximum length of the name of a key.
const NAME_LENGTH_MAX: usize = 63;

pub(super) fn check_access(access: &Access, faults: &mut Vec<Fault>) {
    let mut found = Vec::new();
    if access.keys.len() > ACCESS_KEYS_MAX {
        found.push(AccessFault::Keys(access.keys.len()));
    }
    let mut names = BTreeSet::new();
    for (index, key) in access.keys.iter().enumerate() {
        if !names.insert(&key.name) {
            found.push(AccessFault::SameName(key.name.clone()));
        }
        check_key(index, key, &mut found);
    }
    check_entries(access, &mut found);
    check_issuers(access, &mut found);
    check_certificates(access, &mut found);
    let rate = access.rate_limit.as_ref();
    if rate.is_some_and(|rate| rate.burst.is_some() && rate.requests_per_second.is_none()) {
        found.push(AccessFault::Burst);
    }
    let numbers = [
        ("rateLimit.requestsPerSecond", rate.and_then(|rate| rate.requests_per_second), RATE_MAX),
        ("rateLimit.burst", rate.and_then(|rate| rate.burst), RATE_MAX),
        ("maxAgeDays", access.max_age_days, AGE_DAYS_MAX),
    ];
    for (field, number, max) in numbers {
        if number.is_some_and(|number| !(1..=max).contains(&number)) {
            found.push(AccessFault::Number(field, max));
        }
    }
    faults.extend(found.into_iter().map(Fault::Access));
}

/// Checks issuers as the engine does, under the names of the fields.
fn check_issuers(access: &Access, found: &mut Vec<AccessFault>) {
    if access.issuers.len() > ACCESS_ISSUERS_MAX {
        found.push(AccessFault::Issuers(access.issuers.len()));
    }
    let mut names = BTreeSet::new();
    for (index, issuer) in access.issuers.iter().enumerate() {
        if !names.insert(&issuer.issuer) {
            found.push(AccessFault::SameIssuer(issuer.issuer.clone()));
        }
        let references = [
            ("keysConfigMapRef", &issuer.keys_config_map_ref),
            ("caConfigMapRef", &issuer.ca_config_map_ref),
        ];
        for (part, reference) in references {
            if reference.as_ref().is_some_and(|one| !is_reference(&one.name, &one.key)) {
                found.push(AccessFault::ConfigMap(index, part));
            }
        }
        let faults = access_issuer(issuer).faults().into_iter();
        found.extend(faults.map(|(part, text)| {
            let field = match part {
                "jwksFile" => "keysConfigMapRef",
                "caFile" => "caConfigMapRef",
                "bearerTokenFile" => "serviceAccountToken",
                other => other,
            };
            AccessFault::Issuer(index, field, text.replace("jwksFile", "keysConfigMapRef"))
        }));
    }
}

/// Checks clients with certificates as the engine does.
fn check_certificates(access: &Access, found: &mut Vec<AccessFault>) {
    if access.certificates.len() > ACCESS_CERTIFICATES_MAX {
        found.push(AccessFault::Certificates(access.certificates.len()));
    }
    let authority = access.client_authority_secret_ref.as_ref();
    if !access.certificates.is_empty() && authority.is_none() {
        found.push(AccessFault::NoAuthority);
    }
    if authority.is_some_and(|one| !is_reference(&one.name, &one.key)) {
        found.push(AccessFault::Reference("clientAuthoritySecretRef".to_owned()));
    }
    let mut names: BTreeSet<_> = access.keys.iter().map(|key| &key.name).collect();
    let mut subjects = BTreeSet::new();
    for (index, certificate) in access.certificates.iter().enumerate() {
        if !names.insert(&certificate.name) {
            found.push(AccessFault::SameName(certificate.name.clone()));
        }
        if !subjects.insert(certificate.subject.to_ascii_lowercase()) {
            found.push(AccessFault::SameSubject(certificate.subject.clone()));
        }
        let faults = access_certificate(certificate).faults().into_iter();
        found.extend(faults.map(|(part, text)| AccessFault::Certificate(index, part, text)));
    }
}

fn check_key(index: usize, key: &AccessKey, found: &mut Vec<AccessFault>) {
    if !is_name(&key.name) {
        found.push(AccessFault::Name(index));
    }
    let scopes: BTreeSet<_> = key.scopes.iter().collect();
    if scopes.is_empty() || scopes.len() < key.scopes.len() {
        found.push(AccessFault::Scopes(index));
    }
    let projects: BTreeSet<_> = key.projects.iter().collect();
    if projects.is_empty() || projects.len() < key.projects.len() || projects.len() > ACCESS_PROJECTS_MAX {
        found.push(AccessFault::Projects(index));
    }
    let is_every = |project: &&String| *project == EVERY_PROJECT;
    if key.projects.iter().any(|project| is_every(&project)) && key.projects.len() > 1 {
        found.push(AccessFault::EveryProject(index));
    }
    if key.projects.iter().any(|project| project == LOG_PROJECT) {
        found.push(AccessFault::LogProject(index));
    }
    let field = format!("keys[{index}].projects");
    let named = key.projects.iter().filter(|project| !is_every(project));
    found.extend(
        named.filter_map(|name| request::filter(&field, name).err()).take(1).map(AccessFault::Project),
    );
    if key.expires.as_ref().is_some_and(|expires| expires.parse::<Timestamp>().is_err()) {
        found.push(AccessFault::Expires(index));
    }
}

/// Checks that no two references name the same entry, the previous key of each client included.
fn check_entries(access: &Access, found: &mut Vec<AccessFault>) {
    let mut seen: Vec<(String, String, String)> = Vec::new();
    for entry in entries(access) {
        if !is_reference(&entry.secret, &entry.key) {
            found.push(AccessFault::Reference(entry.field.clone()));
        }
        if let Some((field, ..)) =
            seen.iter().find(|(_, secret, key)| (secret, key) == (&entry.secret, &entry.key))
        {
            found.push(AccessFault::SameEntry(field.clone(), entry.field.clone()));
        }
        seen.push((entry.field, entry.secret, entry.key));
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.starts_with(is_plain)
        && name.ends_with(is_plain)
        && name.chars().all(|c| is_plain(c) || c == '-')
}
