//! Converts issuers of tokens and clients with certificates.

use engine_core::access::Scope;
use engine_core::configuration::{AccessCertificate, AccessIssuer, SigningAlgorithm};

use super::access::{issuer_authorities_path, issuer_keys_path, issuer_token_path};

pub(super) fn scope(scope: crds::AccessScope) -> Scope {
    match scope {
        crds::AccessScope::Read => Scope::Read,
        crds::AccessScope::Write => Scope::Write,
        crds::AccessScope::Admin => Scope::Admin,
    }
}

fn algorithm(algorithm: crds::TokenAlgorithm) -> SigningAlgorithm {
    match algorithm {
        crds::TokenAlgorithm::Es256 => SigningAlgorithm::Es256,
        crds::TokenAlgorithm::Es384 => SigningAlgorithm::Es384,
        crds::TokenAlgorithm::Rs256 => SigningAlgorithm::Rs256,
        crds::TokenAlgorithm::Ps256 => SigningAlgorithm::Ps256,
        crds::TokenAlgorithm::EdDsa => SigningAlgorithm::EdDsa,
    }
}

/// A number of the spec. A negative one becomes the largest, which the configuration refuses: it is not read as its
/// absolute value.
fn number(number: Option<i32>) -> Option<u32> {
    number.map(|number| number.try_into().unwrap_or(u32::MAX))
}

/// The issuer as the engine reads it. Its files are in the pod.
pub(crate) fn access_issuer(given: &crds::AccessIssuer) -> AccessIssuer {
    let crds::AccessIssuer {
        issuer,
        audiences,
        jwks_url,
        keys_config_map_ref,
        ca_config_map_ref,
        service_account_token,
        algorithms,
        clock_skew_seconds,
        max_token_age_seconds,
        projects_claim,
        projects,
        scopes_claim,
        scope_prefix,
        scopes,
        subject_claim,
        required_claims,
    } = given.clone();
    AccessIssuer {
        issuer,
        audiences,
        jwks_url,
        jwks_file: keys_config_map_ref.map(|_| issuer_keys_path(given)),
        ca_file: ca_config_map_ref.map(|_| issuer_authorities_path(given)),
        bearer_token_file: service_account_token.then(|| issuer_token_path(given)),
        algorithms: (!algorithms.is_empty()).then(|| algorithms.into_iter().map(algorithm).collect()),
        clock_skew_seconds: number(clock_skew_seconds),
        max_token_age_seconds: number(max_token_age_seconds),
        projects_claim,
        projects,
        scopes_claim,
        scope_prefix,
        scopes: scopes.into_iter().map(scope).collect(),
        subject_claim,
        required_claims,
    }
}

/// A client with a certificate, as the engine reads it.
pub(crate) fn access_certificate(certificate: &crds::AccessCertificate) -> AccessCertificate {
    let crds::AccessCertificate { name, subject, scopes, projects } = certificate.clone();
    AccessCertificate { name, subject, scopes: scopes.into_iter().map(scope).collect(), projects }
}
