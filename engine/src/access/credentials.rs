//! What a request presents.

use std::sync::Arc;

use engine_core::access::KEY_PREFIX;
use engine_core::certificate::Certificate;

/// What a request presents.
#[derive(Debug, Clone)]
pub(crate) enum Credentials<'a> {
    /// Nothing.
    None,
    /// A key of an engine, or what begins like one.
    Key(&'a str),
    /// A bearer token of another form.
    Token(&'a str),
    /// More than one header, or one of another scheme.
    Unreadable,
    /// The certificate of the connection, without a header.
    Certificate(Arc<Certificate>),
}

impl<'a> Credentials<'a> {
    /// The credentials in the values of the header `Authorization`. A certificate counts only without that header: who
    /// sends a key means the key.
    pub(crate) fn of(
        mut values: impl Iterator<Item = &'a [u8]>,
        certificate: Option<Arc<Certificate>>,
    ) -> Credentials<'a> {
        let (first, second) = (values.next(), values.next());
        let Some(first) = first else {
            return certificate.map_or(Credentials::None, Credentials::Certificate);
        };
        let text = std::str::from_utf8(first).ok().filter(|_| second.is_none());
        let scheme_and_rest = text.and_then(|text| text.split_once(' '));
        match scheme_and_rest {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
                let token = rest.trim_matches(' ');
                if token.starts_with(KEY_PREFIX) {
                    Credentials::Key(token)
                } else {
                    Credentials::Token(token)
                }
            }
            _ => Credentials::Unreadable,
        }
    }
}
