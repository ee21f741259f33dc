//! One key of the configuration file: its accepted values, its default and its documentation.

use serde_json::Value;

/// A key of a section, with everything that is known about it. The reader checks values against it, the operator's
/// validation uses its bounds, and the table of `docs/guide/configuration.md` is generated from it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Name in the section.
    pub name: &'static str,
    /// Accepted values.
    pub kind: Kind,
    /// Default value, if there is one.
    pub default: Option<fn() -> Value>,
    /// What happens without a value, for a key without a default.
    pub absent: &'static str,
    /// Path of the corresponding field of the resource, such as `spec.limits.burst`, if there is one.
    pub field: Option<&'static str>,
    /// Text that the table adds to the field, or shows instead of it.
    pub field_note: &'static str,
    /// Another key of the section and the value it must have for this key to have an effect.
    pub needs: Option<(&'static str, &'static str)>,
    /// What a change of the file needs to take effect.
    pub reload: Reload,
    /// First version of the engine that supports the key.
    pub since: &'static str,
    /// Description in Markdown. Links are relative to `docs/guide`.
    pub about: &'static str,
}

/// What a change of the file needs to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Nothing: the running engine applies it.
    Live,
    /// A restart of the engine.
    Restart,
}

/// Accepted values of a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any string.
    Text,
    /// True or false.
    Bool,
    /// An integer.
    Integer {
        /// Minimum.
        min: u64,
        /// Maximum.
        max: u64,
        /// The number is in bytes: the table writes the bounds in MiB, GiB and TiB.
        bytes: bool,
    },
    /// A number from 0 to `max`, fractions included.
    Number {
        /// Maximum.
        max: f64,
    },
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A value that a function checks.
    Checked {
        /// Whether the value is accepted.
        accepts: fn(&Value) -> bool,
        /// What the value must be, for the error message.
        must: fn() -> String,
        /// The bounds, for the table.
        bounds: fn() -> String,
    },
    /// A list or an object, parsed by the section's type and checked by the section's `check`.
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
            absent: "",
            field: None,
            field_note: "",
            needs: None,
            reload: Reload::Restart,
            since: "",
            about: "",
        }
    }

    pub(super) const fn text() -> Key {
        Key::of(Kind::Text)
    }

    pub(super) const fn boolean() -> Key {
        Key::of(Kind::Bool)
    }

    pub(super) const fn integer(min: u64, max: u64) -> Key {
        Key::of(Kind::Integer { min, max, bytes: false })
    }

    pub(super) const fn bytes(min: u64, max: u64) -> Key {
        Key::of(Kind::Integer { min, max, bytes: true })
    }

    pub(super) const fn number(max: f64) -> Key {
        Key::of(Kind::Number { max })
    }

    pub(super) const fn one_of(words: &'static [&'static str]) -> Key {
        Key::of(Kind::Enum(words))
    }

    pub(super) const fn checked(
        accepts: fn(&Value) -> bool,
        must: fn() -> String,
        bounds: fn() -> String,
    ) -> Key {
        Key::of(Kind::Checked { accepts, must, bounds })
    }

    pub(super) const fn structured(bounds: &'static str) -> Key {
        Key::of(Kind::Structured { bounds })
    }

    pub(super) const fn absent(self, absent: &'static str) -> Key {
        Key { absent, ..self }
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

    pub(super) const fn live(self) -> Key {
        Key { reload: Reload::Live, ..self }
    }

    /// Minimum and maximum, if the value is an integer.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        match self.kind {
            Kind::Integer { min, max, .. } => Some((min, max)),
            _ => None,
        }
    }

    /// What is wrong with a value, without the name of the key.
    pub(super) fn fault(&self, value: &Value) -> Option<String> {
        let (right, must) = match self.kind {
            Kind::Text => (value.is_string(), "a string".to_owned()),
            Kind::Bool => (value.is_boolean(), "true or false".to_owned()),
            Kind::Integer { min, max, .. } => {
                let right = value.as_u64().is_some_and(|number| (min..=max).contains(&number));
                (right, format!("an integer from {min} to {max}"))
            }
            Kind::Number { max } => {
                let right = value.as_f64().is_some_and(|number| (0.0..=max).contains(&number));
                (right, format!("a number from 0 to {max}"))
            }
            Kind::Enum(_) if !value.is_string() => (false, "a string".to_owned()),
            Kind::Enum(words) => (value.as_str().is_some_and(|word| words.contains(&word)), listed(words)),
            Kind::Checked { accepts, must, .. } => (accepts(value), must()),
            Kind::Structured { .. } => return None,
        };
        (!right).then(|| format!("must be {must}"))
    }

    /// Whether the value has the right type but is a word that this version does not know.
    pub(super) fn is_other_word(&self, value: &Value) -> bool {
        matches!(self.kind, Kind::Enum(words) if value.as_str().is_some_and(|word| !words.contains(&word)))
    }
}

/// `a, b or c`.
fn listed(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}
