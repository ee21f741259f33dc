//! The form in which a question of a client is kept: what the policy allows of it, and nothing of who asked.

use jiff::Timestamp;

use super::query_pairs::{read, write};
use super::questions::QUESTION_BYTES_MAX;
use crate::policy::{Counts, Form, IdentifierError, Policy, PseudonymKey};
use crate::words::normal_form;

/// Why a question is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// A name in it has personal data, and the key for its token is missing.
    NoKey,
    /// The policy refuses it.
    Refused,
    /// It is too long, it has no words, it is about a past state itself, or it cannot be read.
    Unsuitable,
}

/// The query string of a search in the form in which it is kept: with the placeholders and tokens that a save of the
/// same texts would store. What does not change the results is left out.
///
/// # Errors
/// It is not kept.
pub fn kept(
    query: &str,
    (policy, key): (&Policy, Option<&PseudonymKey>),
    now: Timestamp,
) -> Result<String, NotKept> {
    if query.len() > QUESTION_BYTES_MAX {
        return Err(NotKept::Unsuitable);
    }
    let mut kept = Vec::new();
    for (name, value) in read(query).ok_or(NotKept::Unsuitable)? {
        let value = match name.as_str() {
            "q" => {
                let judged = policy.judge_text("q", &value, now).map_err(|_| NotKept::Refused)?;
                judged.changed.unwrap_or(value)
            }
            "project" | "session" | "type" | "tags_any" | "tags_all" => named(&value, (policy, key), now)?,
            "mode" | "limit" | "offset" | "as_of" => value,
            "explain" | "min_seq" => continue,
            // With `known_at` it is about a past state already.
            _ => return Err(NotKept::Unsuitable),
        };
        kept.push((name, value));
    }
    let has_words = kept.iter().any(|(name, value)| name == "q" && !value.trim().is_empty());
    let kept = write(&kept);
    if has_words && kept.len() <= QUESTION_BYTES_MAX { Ok(kept) } else { Err(NotKept::Unsuitable) }
}

/// A name as it is stored.
fn named(
    name: &str,
    (policy, key): (&Policy, Option<&PseudonymKey>),
    now: Timestamp,
) -> Result<String, NotKept> {
    let name = normal_form(name);
    match policy.judge_identifier(key, ("", Form::Whole), &name, now, &mut Counts::default()) {
        Ok(stored) => Ok(stored.unwrap_or_else(|| name.into_owned())),
        Err(IdentifierError::NoKey) => Err(NotKept::NoKey),
        Err(IdentifierError::Blocked(_)) => Err(NotKept::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<String, NotKept> {
        let key = PseudonymKey::new([7; PseudonymKey::BYTES]);
        kept(query, (&Policy::default(), Some(&key)), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn personal_data_is_replaced_and_a_secret_is_not_kept() {
        assert_eq!(
            of("q=blue+kettle&limit=3&explain=true&min_seq=4").as_deref(),
            Ok("q=blue%20kettle&limit=3")
        );
        let mail = of("q=mail+of+ada%40example.org").unwrap();
        assert!(!mail.contains("ada") && mail.starts_with("q=mail%20of%20"), "{mail}");
        let project = of("q=kettle&project=ada%40example.org").unwrap();
        assert!(!project.contains("ada"), "{project}");
        let secret = format!("q=the+key+AKIA{}", "IOSFODNN7ABCDEFG");
        assert_eq!(of(&secret), Err(NotKept::Refused));
    }

    #[test]
    fn without_the_key_a_name_is_not_kept() {
        let policy = Policy::default();
        let of = |query: &str| kept(query, (&policy, None), Timestamp::UNIX_EPOCH);
        assert_eq!(of("q=kettle&project=ada%40example.org"), Err(NotKept::NoKey));
        assert!(of("q=kettle&project=kitchen").is_ok());
    }

    #[test]
    fn what_cannot_be_repeated_is_not_kept() {
        let long = format!("q={}", "a".repeat(QUESTION_BYTES_MAX));
        for query in ["q=kettle&known_at=3", "q=", "limit=3", "q=%ff", "q=a&other=1", &long] {
            assert_eq!(of(query), Err(NotKept::Unsuitable), "{query}");
        }
    }
}
