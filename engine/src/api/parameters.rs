//! Parses query strings. Each known name may occur once (lists may repeat); any other name is refused.

use std::borrow::Cow;

use crate::refusal::Refusal;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use engine_core::limits::URL_QUERY_BYTES_MAX;
use engine_core::request::{Refused, moment, number};
use engine_core::tags::Tags;
use engine_core::words::normal_form;
use jiff::Timestamp;

/// The parameters of a request, in the order in which they were sent.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Parameters, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        if query.len() > URL_QUERY_BYTES_MAX {
            let (field, found, limit) = ("the query string".into(), query.len(), URL_QUERY_BYTES_MAX);
            return Err(Refused::TooLong { field, found, limit }.into());
        }
        // The extractor would silently replace bytes that are not UTF-8, so they are refused here.
        if !percent_decodes_to_utf8(query.as_bytes()) {
            return Err(Refused::Body("the query string is not UTF-8".into()).into());
        }
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(&head.uri)
            .map_err(|_| Refused::Body("the query string cannot be read".into()))?;
        // Names, for example of projects and entities, are stored and compared in one Unicode normal form.
        let normal = |(name, value): (String, String)| (name, normal_form(&value).into_owned());
        Ok(Parameters(pairs.0.into_iter().map(normal).collect()))
    }
}

/// Parameters that may be repeated: each occurrence adds one value to a list.
const LISTS: [&str; 2] = ["tags_any", "tags_all"];

impl Parameters {
    /// Checks the names.
    ///
    /// # Errors
    /// A name is not in `names`, or is repeated and is not a list.
    pub(super) fn known(self, names: &[&str]) -> Result<Parameters, Refused> {
        for (i, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let known = names.join(", ");
                return Err(Refused::Body(format!("unknown parameter; known are {known}")));
            }
            let is_list = LISTS.contains(&name.as_str());
            if !is_list && self.0[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(Refused::Body(format!("the parameter {name} is given twice")));
            }
        }
        Ok(self)
    }

    /// Returns a parameter that is a time.
    ///
    /// # Errors
    /// The value is not an RFC 3339 time.
    pub(super) fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, Refused> {
        self.text(name).map(|text| moment(name, text)).transpose()
    }

    /// Returns a parameter as text, in normal form.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the filter by tags.
    pub(super) fn tags(&self) -> Result<Tags, Refused> {
        let list = |name: &str| {
            let found = self.0.iter().filter(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).collect()
        };
        let [any, all] = LISTS.map(list);
        Tags::new(any, all)
    }

    /// Returns the value of a parameter with fixed choices `words`; the first choice if the parameter is absent.
    pub(super) fn one_of<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<T, Refused> {
        let Some(text) = self.text(name) else { return Ok(words[0].1) };
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Refused::Choice { field: name, known: known.join(", ") }
        })
    }

    /// Returns a parameter that is an integer.
    ///
    /// # Errors
    /// The value is not an integer from `min` to `max`.
    pub(super) fn number(&self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>, Refused> {
        self.text(name).map(|text| number(name, text, min, max)).transpose()
    }
}

/// Whether the query string, percent-decoded, is UTF-8.
fn percent_decodes_to_utf8(query: &[u8]) -> bool {
    let mut bytes = query.iter();
    let mut decoded = Vec::with_capacity(query.len());
    while let Some(byte) = bytes.next() {
        let rest = bytes.as_slice();
        let escaped = (*byte == b'%')
            .then(|| rest.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if escaped.is_some() {
            bytes = rest[2..].iter();
        }
        decoded.push(escaped.unwrap_or(*byte));
    }
    matches!(String::from_utf8_lossy(&decoded), Cow::Borrowed(_))
}
