//! Defines sections: one macro generates the type that serde reads and writes, and the table of its keys.

use serde::Serialize;
use serde_json::Value;

/// The value, or the default.
pub(super) fn or<T: Clone>(value: Option<&T>, default: T) -> T {
    value.cloned().unwrap_or(default)
}

/// A default as it would be written in the file.
pub(super) fn written<T: Serialize>(default: T) -> Value {
    serde_json::to_value(default).expect("a default is a number, a word or a list")
}

/// Defines a section: its type, whose fields are all optional since the file may omit any key; a method of the same
/// name for each field that has a default; and its `Section::KEYS`.
///
/// ```text
/// section! {
///     /// What the section is about.
///     "limits" => Limits, check together {
///         /// What the key is for, as the table of the guide has it.
///         "connectionsPerAddress" connections_per_address: usize, or DEFAULT, since "0.1.0"
///             => Key::whole(1, MAX).field("spec.limits.connectionsPerAddress");
///     }
/// }
/// ```
///
/// `check FUNCTION` and `prepare FUNCTION` name the functions that implement these methods of `Section`.
macro_rules! section {
    (
        $(#[doc = $title:literal])+
        $name:literal => $type:ident $(, prepare $prepare:path)? $(, check $check:path)? {
            $(
                $(#[doc = $about:literal])+
                $key:literal $field:ident: $value:ty $(, or $default:expr)?, since $since:literal => $row:expr;
            )+
        }
    ) => {
        $(#[doc = $title])+
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $type {
            $(
                $(#[doc = $about])+
                #[serde(rename = $key, default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$value>,
            )+
        }

        impl $type {
            $( $(
                #[doc = concat!("`", $key, "`, or its default.")]
                #[must_use]
                pub fn $field(&self) -> $value {
                    $crate::configuration::section::or(self.$field.as_ref(), $default)
                }
            )? )+
        }

        impl $crate::configuration::Section for $type {
            const NAME: &'static str = $name;
            const KEYS: &'static [$crate::configuration::Key] = &[$(
                $crate::configuration::Key {
                    name: $key,
                    default: $crate::configuration::section::section!(@default $($default)?),
                    since: $since,
                    about: concat!($($about),+),
                    ..$row
                }
            ),+];

            $(
                fn prepare(
                    section: &mut serde_json::Map<String, serde_json::Value>,
                    reader: &mut $crate::configuration::reader::Reader,
                ) {
                    $prepare(section, reader);
                }
            )?

            $(
                fn check(&self, faults: &mut Vec<String>) {
                    $check(self, faults);
                }
            )?
        }
    };
    (@default) => { None };
    (@default $default:expr) => { Some(|| $crate::configuration::section::written($default)) };
}
pub(crate) use section;

/// Defines an enum of words, with the spelling used in the file.
macro_rules! words {
    (
        $(#[$title:meta])+
        $type:ident {
            $( $(#[$about:meta])+ $variant:ident = $word:literal, )+
        }
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $(#[$title])+
        pub enum $type {
            $( $(#[$about])+ #[serde(rename = $word)] $variant, )+
        }

        impl $type {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}
pub(crate) use words;
