//! Requests to forget memories, the events that record them, and the search for remaining traces.

use std::collections::BTreeMap;

use crate::digest::is_id;
use crate::event::{Draft, ForgottenPayload, LOG_PROJECT, MEMORY_FORGOTTEN};
use crate::limits::{
    ACTOR_DEFAULT, FORGET_IDS_MAX, FORGET_TARGETS_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX, SOURCE_CHARS_MAX,
};
use crate::request::{Refused, count, name, named, optional};
use crate::wire::ForgetMemories;

/// Selects memories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The memories with these ids.
    Ids(Vec<String>),
    /// The memories that match all of these conditions; at least one is set.
    Where {
        /// Project.
        project: Option<String>,
        /// Session.
        session: Option<String>,
        /// Source document.
        source: Option<String>,
    },
    /// The memories that at least one of the two selects.
    Either(Box<Which>, Box<Which>),
}

/// A validated request to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// The memories to forget.
    pub which: Which,
    /// Reason.
    pub reason: String,
    /// Actor that sent the request.
    pub actor: String,
    /// Only report what would be forgotten.
    pub dry_run: bool,
}

/// Validates a request to forget. Does not check whether the memories exist.
pub fn check(request: ForgetMemories) -> Result<Forget, Refused> {
    let ForgetMemories { ids, mut project, mut session, mut source, reason, dry_run, actor } = request;
    name("reason", &reason, REASON_CHARS_MAX)?;
    optional("project", &mut project, NAME_CHARS_MAX)?;
    optional("session", &mut session, NAME_CHARS_MAX)?;
    optional("source", &mut source, SOURCE_CHARS_MAX)?;
    let filtered = project.is_some() || session.is_some() || source.is_some();
    let which = match ids {
        Some(_) if filtered => return Err(Refused::Exclusive("ids", "project, session and source")),
        Some(ids) => {
            count("ids", ids.len(), 1, FORGET_IDS_MAX)?;
            match ids.iter().position(|id| !is_id(id)) {
                Some(i) => return Err(Refused::NotAnId(format!("ids[{i}]"))),
                None => Which::Ids(ids),
            }
        }
        None if filtered => Which::Where { project, session, source },
        None => return Err(Refused::Missing("ids, project, session or source")),
    };
    Ok(Forget { which, reason, actor: named("actor", actor, ACTOR_DEFAULT)?, dry_run })
}

/// An event whose payload is removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Sequence number of the event.
    pub seq: u64,
    /// Id of the event.
    pub id: String,
}

/// The events that record that these targets are forgotten, in log order. Each event names at most
/// [`FORGET_TARGETS_MAX`] targets.
pub fn drafts(targets: &[Target], reason: &str, actor: &str) -> Vec<Draft> {
    let mut targets = targets.to_vec();
    targets.sort_unstable();
    targets.dedup();
    let draft = |some: &[Target]| {
        let payload = ForgottenPayload {
            targets: some.iter().map(|target| target.id.clone()).collect(),
            seqs: some.iter().map(|target| target.seq).collect(),
            reason: reason.to_owned(),
        };
        Draft {
            kind: MEMORY_FORGOTTEN.into(),
            actor: actor.to_owned(),
            project: LOG_PROJECT.into(),
            session: None,
            causes: Vec::new(),
            payload: serde_json::value::to_raw_value(&payload).expect("strings and numbers are always JSON"),
        }
    };
    targets.chunks(FORGET_TARGETS_MAX).map(draft).collect()
}

/// Minimum length of a text to search for, in bytes: shorter texts also occur elsewhere by chance.
pub const TRACE_BYTES_MIN: usize = 12;
/// Maximum length of the beginning of a text to search for, in bytes: enough to be distinctive, and less than one page
/// of a database.
pub const TRACE_BYTES_MAX: usize = 64;
/// Length of the prefix by which candidate positions are found, bytes.
const HEAD_BYTES: usize = 8;

/// The beginnings of texts, to search for remaining copies in other data: both verbatim and escaped as in JSON.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    by_head: BTreeMap<[u8; HEAD_BYTES], Vec<Vec<u8>>>,
    /// For each pair of bytes, whether any trace starts with it: this lookup rules out most positions.
    begins: Vec<bool>,
}

impl Traces {
    /// Traces of these texts; texts too short to be distinctive have none.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Traces {
        let mut traces = Traces { by_head: BTreeMap::new(), begins: vec![false; 1 << 16] };
        for text in texts {
            let escaped = serde_json::to_string(text).expect("a string is always JSON");
            traces.insert(text.as_bytes());
            traces.insert(escaped.trim_matches('"').as_bytes());
        }
        traces
    }

    fn insert(&mut self, text: &[u8]) {
        let trace = &text[..text.len().min(TRACE_BYTES_MAX)];
        let Some(head) = trace.first_chunk().filter(|_| trace.len() >= TRACE_BYTES_MIN) else { return };
        self.begins[usize::from(u16::from_le_bytes([head[0], head[1]]))] = true;
        let known = self.by_head.entry(*head).or_default();
        if !known.iter().any(|known| known == trace) {
            known.push(trace.to_vec());
        }
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.by_head.is_empty()
    }

    /// Number of positions at which a trace starts.
    pub fn found_in(&self, bytes: &[u8]) -> usize {
        self.found_within(bytes, bytes.len())
    }

    /// Number of positions among the first `first` bytes at which a trace starts. The trace may end after them.
    pub fn found_within(&self, bytes: &[u8], first: usize) -> usize {
        if self.is_empty() {
            return 0;
        }
        let at = |place: &usize| {
            let rest = &bytes[*place..];
            let Some(head) = rest.first_chunk::<HEAD_BYTES>() else { return false };
            self.begins[usize::from(u16::from_le_bytes([head[0], head[1]]))]
                && self
                    .by_head
                    .get(head)
                    .is_some_and(|traces| traces.iter().any(|trace| rest.starts_with(trace)))
        };
        (0..first.min(bytes.len())).filter(at).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(seq: u64) -> Target {
        Target { seq, id: format!("{seq:032x}") }
    }

    #[test]
    fn a_request_says_what_and_why() {
        let asked = |body: &str| crate::request::parse::<ForgetMemories>(body.as_bytes()).and_then(check);
        let id = "0".repeat(32);
        assert!(asked(&format!(r#"{{"ids":["{id}"],"reason":"r"}}"#)).is_ok());
        assert!(asked(r#"{"project":"p","session":"s","reason":"r"}"#).is_ok());
        for refused in [
            format!(r#"{{"ids":["{id}"]}}"#),
            format!(r#"{{"ids":["{id}"],"reason":" "}}"#),
            format!(r#"{{"ids":["{id}"],"project":"p","reason":"r"}}"#),
            r#"{"ids":[],"reason":"r"}"#.into(),
            r#"{"ids":["x"],"reason":"r"}"#.into(),
            r#"{"reason":"everything"}"#.into(),
        ] {
            assert!(asked(&refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn no_event_names_more_than_it_may() {
        let targets: Vec<Target> = (1..=2 * FORGET_TARGETS_MAX as u64 + 1).rev().map(target).collect();
        let drafts = drafts(&targets, "r", "a");
        let payloads: Vec<ForgottenPayload> =
            drafts.iter().map(|draft| serde_json::from_str(draft.payload.get()).unwrap()).collect();
        assert_eq!(payloads.iter().map(|payload| payload.targets.len()).collect::<Vec<_>>(), [1000, 1000, 1]);
        let seqs: Vec<u64> = payloads.iter().flat_map(|payload| payload.seqs.clone()).collect();
        assert_eq!(seqs, (1..=2001).collect::<Vec<_>>());
        assert!(drafts.iter().all(|draft| draft.payload.get().len() < crate::limits::CONTENT_BYTES_MAX));
    }

    #[test]
    fn a_text_is_found_as_it_is_and_as_json_writes_it() {
        let traces = Traces::of(["the \"blue\" kettle", "short"]);
        assert_eq!(traces.found_in(b"..the \"blue\" kettle.."), 1);
        assert_eq!(traces.found_in(b"{\"content\":\"the \\\"blue\\\" kettle\"}"), 1);
        assert_eq!(traces.found_in(b"the \"blue\" kettl short"), 0);
        assert!(Traces::of(["short"]).is_empty());
    }

    proptest! {
        #[test]
        fn traces_are_found_as_a_naive_search_finds_them(
            texts in prop::collection::vec("[ab]{10,20}", 1..6),
            bytes in "[ab]{0,200}",
        ) {
            let traces = Traces::of(texts.iter().map(String::as_str));
            let naive = (0..bytes.len())
                .filter(|at| texts.iter().any(|text| text.len() >= TRACE_BYTES_MIN && bytes[*at..].starts_with(text)))
                .count();
            prop_assert_eq!(traces.found_in(bytes.as_bytes()), naive);
        }
    }
}
