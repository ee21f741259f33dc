//! One key of the configuration file: what may be its value, what it is without one, and where it is documented.

use serde_json::Value;

/// A key of a section. Everything that is known about it is here: the reader checks values by it, the operator's
/// validation takes its bounds, and the table of `docs/guide/configuration.md` is made of it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Name in the section.
    pub name: &'static str,
    /// What may be its value.
    pub kind: Kind,
    /// Value when the file does not set it, where there is one.
    pub default: Option<fn() -> Value>,
    /// What happens when the file does not set it, where no value says so.
    pub without: &'static str,
    /// Path of the field of the resource, such as `spec.limits.burst`, where the resource has it.
    pub field: Option<&'static str>,
    /// What the table adds to the field, or has in its place.
    pub field_note: &'static str,
    /// Another key of the section and the word it must have for this key to mean anything.
    pub needs: Option<(&'static str, &'static str)>,
    /// Version of the engine that knew it first.
    pub since: &'static str,
    /// What it is for, in Markdown. Links are relative to `docs/guide`.
    pub about: &'static str,
}

/// What may be the value of a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any string.
    Text,
    /// True or false.
    Switch,
    /// A whole number.
    Whole {
        /// Least number.
        min: u64,
        /// Greatest number.
        max: u64,
        /// The number is bytes: the table writes the bounds in MiB, GiB and TiB.
        bytes: bool,
    },
    /// A number from 0 to this one, fractions included.
    Number {
        /// Greatest number.
        max: f64,
    },
    /// One of these words.
    Words(&'static [&'static str]),
    /// Something that a function judges.
    Judged {
        /// Whether the value is right.
        accepts: fn(&Value) -> bool,
        /// What it must be, for the message.
        must: fn() -> String,
        /// The bounds, for the table.
        bounds: fn() -> String,
    },
    /// A list or an object that the section's type reads and the section's check judges.
    Structured {
        /// The bounds, for the table.
        bounds: &'static str,
    },
}

impl Key {
    const fn of(kind: Kind) -> Key {
        Key {
            name: "",
            kind,
            default: None,
            without: "",
            field: None,
            field_note: "",
            needs: None,
            since: "",
            about: "",
        }
    }

    pub(super) const fn text() -> Key {
        Key::of(Kind::Text)
    }

    pub(super) const fn switch() -> Key {
        Key::of(Kind::Switch)
    }

    pub(super) const fn whole(min: u64, max: u64) -> Key {
        Key::of(Kind::Whole { min, max, bytes: false })
    }

    pub(super) const fn bytes(min: u64, max: u64) -> Key {
        Key::of(Kind::Whole { min, max, bytes: true })
    }

    pub(super) const fn number(max: f64) -> Key {
        Key::of(Kind::Number { max })
    }

    pub(super) const fn words(words: &'static [&'static str]) -> Key {
        Key::of(Kind::Words(words))
    }

    pub(super) const fn judged(
        accepts: fn(&Value) -> bool,
        must: fn() -> String,
        bounds: fn() -> String,
    ) -> Key {
        Key::of(Kind::Judged { accepts, must, bounds })
    }

    pub(super) const fn structured(bounds: &'static str) -> Key {
        Key::of(Kind::Structured { bounds })
    }

    pub(super) const fn without(self, without: &'static str) -> Key {
        Key { without, ..self }
    }

    pub(super) const fn field(self, field: &'static str) -> Key {
        Key { field: Some(field), ..self }
    }

    pub(super) const fn field_note(self, field_note: &'static str) -> Key {
        Key { field_note, ..self }
    }

    pub(super) const fn needs(self, key: &'static str, word: &'static str) -> Key {
        Key { needs: Some((key, word)), ..self }
    }

    /// Least and greatest number, where the value is a whole number.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        match self.kind {
            Kind::Whole { min, max, .. } => Some((min, max)),
            _ => None,
        }
    }

    /// What is wrong with a value, without the name of the key.
    pub(super) fn fault(&self, value: &Value) -> Option<String> {
        let (right, must) = match self.kind {
            Kind::Text => (value.is_string(), "a string".to_owned()),
            Kind::Switch => (value.is_boolean(), "true or false".to_owned()),
            Kind::Whole { min, max, .. } => {
                let right = value.as_u64().is_some_and(|number| (min..=max).contains(&number));
                (right, format!("a whole number from {min} to {max}"))
            }
            Kind::Number { max } => {
                let right = value.as_f64().is_some_and(|number| (0.0..=max).contains(&number));
                (right, format!("a number from 0 to {max}"))
            }
            Kind::Words(_) if !value.is_string() => (false, "a string".to_owned()),
            Kind::Words(words) => (value.as_str().is_some_and(|word| words.contains(&word)), one_of(words)),
            Kind::Judged { accepts, must, .. } => (accepts(value), must()),
            Kind::Structured { .. } => return None,
        };
        (!right).then(|| format!("must be {must}"))
    }

    /// Whether the value is of the right type and only its word is none that this version has.
    pub(super) fn is_other_word(&self, value: &Value) -> bool {
        matches!(self.kind, Kind::Words(words) if value.as_str().is_some_and(|word| !words.contains(&word)))
    }
}

/// `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}
