//! `access.certificates`: callers that present a client certificate.

use serde::{Deserialize, Serialize};

use super::access_key::AccessKey;
use crate::access::Scope;
use crate::certificate::Certificate;

/// Maximum number of certificates in the configuration.
pub const ACCESS_CERTIFICATES_MAX: usize = 64;
/// Maximum length of a subject, in characters: that of a DNS name, and more than SPIFFE ids have.
const SUBJECT_CHARS_MAX: usize = 512;

/// A caller that presents a certificate of the authority for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessCertificate {
    /// Name of the caller: lower-case letters, digits and `-`.
    pub name: String,
    /// A DNS name, or a URI, of the certificate's subject alternative names.
    pub subject: String,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// Exact names of projects, or only `*`.
    pub projects: Vec<String>,
}

/// Parts of a certificate in the configuration.
pub(super) const CERTIFICATE_PARTS: [&str; 4] = ["name", "subject", "scopes", "projects"];

impl AccessCertificate {
    /// Whether a certificate is that of the caller. Names are compared whole: a wildcard is no pattern here.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        if self.is_uri() {
            certificate.uris.contains(&self.subject)
        } else {
            certificate.names(&self.subject)
        }
    }

    fn is_uri(&self) -> bool {
        self.subject.contains(':')
    }

    /// What is wrong with it: a part of it, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if !AccessKey::is_name(&self.name) {
            faults.push(("name", "must be 1 to 63 of a-z, 0-9 and -".to_owned()));
        }
        let is_subject = (1..=SUBJECT_CHARS_MAX).contains(&self.subject.len())
            && self.subject.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if !is_subject {
            let rule = "must be one DNS name or one URI of the certificates, without a wildcard";
            faults.push(("subject", rule.to_owned()));
        }
        if self.scopes.is_empty() {
            faults.push(("scopes", "must be at least one of read, write and admin".to_owned()));
        }
        faults.extend(AccessKey::projects_fault(&self.projects).map(|text| ("projects", text)));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(dns: &[&str], uris: &[&str]) -> Certificate {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Certificate {
            serial: String::new(),
            sha256: crate::digest::Hash([0; 32]),
            not_before: jiff::Timestamp::MIN,
            not_after: jiff::Timestamp::MAX,
            dns_names: owned(dns),
            uris: owned(uris),
            is_authority: false,
            key_sha256: crate::digest::Hash([0; 32]),
        }
    }

    fn caller(subject: &str) -> AccessCertificate {
        let (scopes, projects) = (vec![Scope::Read], vec!["notes".to_owned()]);
        AccessCertificate { name: "a".into(), subject: subject.into(), scopes, projects }
    }

    #[test]
    fn a_subject_is_compared_whole_and_in_its_own_kind() {
        let spiffe = "spiffe://example.org/agent";
        let found = certificate(&["agent.example.org"], &[spiffe]);
        for (subject, is_of) in [
            ("agent.example.org", true),
            ("AGENT.example.org", true),
            ("example.org", false),
            ("agent.example.org.evil.org", false),
            (spiffe, true),
            ("spiffe://example.org/agent/b", false),
            ("spiffe://example.org/Agent", false),
        ] {
            assert_eq!(caller(subject).is_of(&found), is_of, "{subject}");
        }
        // A DNS name that looks like a URI is none, and the other way round.
        assert!(!caller(spiffe).is_of(&certificate(&[spiffe], &[])));
        assert!(!caller("agent.example.org").is_of(&certificate(&[], &["agent.example.org"])));
        assert!(!caller("agent.example.org").is_of(&certificate(&["*.example.org"], &[])));
        for subject in ["", "*.example.org", "a b", &"a".repeat(513)] {
            assert_eq!(caller(subject).faults().len(), 1, "{subject}");
        }
        assert!(caller(spiffe).faults().is_empty());
    }
}
