//! The approval of a retention plan, in an annotation that anybody may have written who may change the resource.

use crds::MemoryEngine;
use serde::Deserialize;

use crate::{names::APPROVE_RETENTION_ANNOTATION, report::quoted};

/// Longest text of an approval that is read, characters.
const APPROVAL_CHARS_MAX: usize = 512;
/// Longest name and longest reason in an approval, characters: what is said about them fits into a field of the status,
/// and into the engine's event.
const TEXT_CHARS_MAX: usize = 96;
/// Length of a hash, characters. What is longer is no hash.
const HASH_CHARS_MAX: usize = 64;

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// Hash of the plan.
    pub(super) hash: String,
    /// The number of memories of the plan, if the spike guard holds it.
    #[serde(default)]
    pub(super) entries: Option<u64>,
    /// Who.
    #[serde(default)]
    by: Option<String>,
    /// Why.
    #[serde(default)]
    reason: Option<String>,
}

impl Approval {
    /// The approval in words.
    pub(super) fn described(&self) -> String {
        let text = |text: &Option<String>| text.as_deref().map(|text| quoted(text, TEXT_CHARS_MAX));
        let by = text(&self.by).map(|by| format!(" by {by}")).unwrap_or_default();
        let reason = text(&self.reason).map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("approved{by}{reason}")
    }
}

/// The approval in the annotation: the hash alone, or an object with the hash, the number, a name and a reason.
pub(super) fn approval(engine: &MemoryEngine) -> Option<Approval> {
    let text = engine.metadata.annotations.as_ref()?.get(APPROVE_RETENTION_ANNOTATION)?;
    let text: String = text.chars().filter(|one| !one.is_control()).take(APPROVAL_CHARS_MAX).collect();
    let mut read = serde_json::from_str(&text).unwrap_or_else(|_| Approval {
        hash: text.trim().to_owned(),
        entries: None,
        by: None,
        reason: None,
    });
    read.hash = quoted(&read.hash, HASH_CHARS_MAX);
    Some(read)
}

#[cfg(test)]
mod tests {
    use crds::MemoryEngineSpec;

    use super::*;

    fn read(text: &str) -> Approval {
        let mut engine = MemoryEngine::new("notes", MemoryEngineSpec::default());
        engine.metadata.annotations =
            Some([(APPROVE_RETENTION_ANNOTATION.to_owned(), text.to_owned())].into());
        approval(&engine).unwrap()
    }

    #[test]
    fn an_approval_is_a_hash_or_an_object() {
        let plain = read(" abc\n");
        assert_eq!(
            (plain.hash.as_str(), plain.entries, plain.described().as_str()),
            ("abc", None, "approved")
        );
        let whole = read(r#"{"hash": "abc", "entries": 5, "by": "ann", "reason": "the law"}"#);
        assert_eq!((whole.hash.as_str(), whole.entries), ("abc", Some(5)));
        assert_eq!(whole.described(), "approved by ann: the law");
    }

    #[test]
    fn hostile_texts_are_bounded_and_plain() {
        for text in [
            "{".repeat(100_000),
            "\u{1b}[31m".repeat(1_000),
            format!("{{\"hash\": \"{}\"}}", "a".repeat(400)),
            r#"{"hash": "abc", "colour": "red"}"#.to_owned(),
            r#"{"hash": "abc", "entries": -1}"#.to_owned(),
        ] {
            let read = read(&text);
            assert!(read.hash.chars().count() <= HASH_CHARS_MAX && read.hash != "abc", "{text:.40}");
            assert!(!read.hash.chars().any(char::is_control), "{text:.40}");
            assert_eq!(read.entries, None);
        }
        let loud =
            read(&format!(r#"{{"hash": "abc", "by": "{}", "reason": "a\u001b[31mb"}}"#, "x".repeat(300)));
        assert!(loud.described().chars().count() < 2 * TEXT_CHARS_MAX + 20, "{}", loud.described());
        assert!(!loud.described().chars().any(char::is_control));
    }
}
