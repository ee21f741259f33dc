//! What a person asks for with an annotation of the resource.

use crds::MemoryEngine;
use engine_core::digest::Hash;
use serde::Deserialize;

use super::input::{Command, Verb};
use crate::names::ROLLOUT_ANNOTATION;

/// Longest annotation that is read, bytes.
const BYTES_MAX: usize = 1024;
/// Hexadecimal digits of the identifier of a request.
const ID_DIGITS: usize = 16;

/// The verbs as people write them.
const WORDS: [(&str, Verb); 5] = [
    ("abort", Verb::Abort),
    ("retry", Verb::Retry),
    ("promote", Verb::PromoteNext),
    ("promote-full", Verb::PromoteFull),
    ("hold", Verb::Hold),
];

/// The annotation as an object.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    verb: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    reason: String,
    /// Tells a request apart from an earlier one with the same words.
    #[serde(default)]
    id: String,
}

/// What is asked for; `None` if nothing is.
///
/// # Errors
/// The annotation says nothing that can be carried out. The text says what to write.
pub fn requested(engine: &MemoryEngine) -> Result<Option<Command>, String> {
    let annotations = engine.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(ROLLOUT_ANNOTATION)) else { return Ok(None) };
    let usage = || {
        format!(
            "{ROLLOUT_ANNOTATION} is neither a verb (abort, retry, promote, promote-full, hold) nor {{\"verb\": \
             \"promote\", \"by\": \"…\", \"reason\": \"…\"}} of at most {BYTES_MAX} bytes"
        )
    };
    if text.len() > BYTES_MAX {
        return Err(usage());
    }
    let words = |verb: &str| WORDS.iter().find(|(word, _)| *word == verb).map(|(_, verb)| *verb);
    let Annotation { verb, by, reason, id } = match words(text.trim()) {
        Some(_) => Annotation { verb: text.trim().to_owned(), ..Annotation::default() },
        None => serde_json::from_str(text).map_err(|_| usage())?,
    };
    let known = words(&verb).ok_or_else(usage)?;
    let clean = |text: String| text.chars().filter(|one| !one.is_control()).collect::<String>();
    // The same words are one request, also about another revision: an annotation that was left behind asks for nothing.
    let id = Hash::of(format!("{verb} {by:?} {reason:?} {id:?}").as_bytes()).to_string();
    let id = id.chars().take(ID_DIGITS).collect();
    Ok(Some(Command { id, verb: known, by: clean(by), why: clean(reason) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Option<Command>, String> {
        let mut engine = MemoryEngine::new("notes", crds::MemoryEngineSpec::default());
        engine.metadata.annotations = Some([(ROLLOUT_ANNOTATION.to_owned(), text.to_owned())].into());
        requested(&engine)
    }

    #[test]
    fn a_word_or_an_object_is_a_request() {
        let promote = asked(r#"{"verb": "promote", "by": "ada", "reason": "checked\u0007 by hand"}"#);
        let promote = promote.unwrap().unwrap();
        assert_eq!(
            (promote.verb, &*promote.by, &*promote.why),
            (Verb::PromoteNext, "ada", "checked by hand")
        );
        assert_eq!(asked(" abort\n").unwrap().unwrap().verb, Verb::Abort);
        for wrong in
            ["", "stop", "{}", r#"{"verb": "stop"}"#, r#"{"verb": "hold", "x": 1}"#, &"x".repeat(2000)]
        {
            assert!(asked(wrong).unwrap_err().contains("promote-full"), "{wrong}");
        }
        let none = MemoryEngine::new("notes", crds::MemoryEngineSpec::default());
        assert_eq!(requested(&none), Ok(None));
    }

    #[test]
    fn the_same_words_are_one_request() {
        let id = |text: &str| asked(text).unwrap().unwrap().id;
        assert_eq!(id("abort"), id(r#"{"verb": "abort"}"#));
        assert_ne!(id("abort"), id("retry"));
        let again = |id: &str| format!(r#"{{"verb": "abort", "id": "{id}"}}"#);
        assert_ne!(id(&again("1")), id(&again("2")));
    }
}
