//! The objects that keep those who remove objects and those who read or name them apart. A boundary announces what is
//! removed before it is removed; a pin says that somebody reads.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::{hex, is_id};

/// Name of the format.
pub const FORMAT: &str = "memory-archive/1 boundary";
/// Names in one boundary. With the longest names that is 2 MB, which every writer and every restore reads.
pub const REMOVED_MAX: usize = 10_000;
/// Maximum length of a boundary, bytes.
pub const BOUNDARY_BYTES_MAX: u64 = 4 << 20;
/// Digits of a number of a boundary, and of the time in a pin.
const DIGITS: usize = 10;

/// What is being removed. A boundary is an object that is created once; the one with the largest number counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// Its number; 0 if there is none.
    pub number: u64,
    /// Names of pieces and manifests that nobody may read or name any more.
    pub removed: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Object {
    format: String,
    removed: BTreeSet<String>,
}

impl Boundary {
    /// The folder of boundaries.
    pub const FOLDER: &str = "boundary";

    /// The name of the boundary with this number.
    #[must_use]
    pub fn name(number: u64) -> String {
        format!("{}/{number:010}", Self::FOLDER)
    }

    /// The number in a name, from its folder on. `None` for any other name.
    #[must_use]
    pub fn number_of(name: &str) -> Option<u64> {
        number(name.strip_prefix(Self::FOLDER)?.strip_prefix('/')?)
    }

    /// The object.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let object = Object { format: FORMAT.to_owned(), removed: self.removed.clone() };
        serde_json::to_vec(&object).expect("strings are always JSON")
    }

    /// Reads the object with this number; `None` if it is not one.
    #[must_use]
    pub fn decode(number: u64, bytes: &[u8]) -> Option<Boundary> {
        let Object { format, removed } = serde_json::from_slice(bytes).ok()?;
        (format == FORMAT).then_some(Boundary { number, removed })
    }
}

/// Says that somebody reads the archive until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinName {
    /// When it no longer counts.
    pub until: Timestamp,
    /// Random, so that each reader has one of its own; 32 hexadecimal digits.
    pub id: String,
}

impl PinName {
    /// The folder of pins.
    pub const FOLDER: &str = "pins";

    /// A pin of a reader.
    #[must_use]
    pub fn new(until: Timestamp, id: [u8; 16]) -> PinName {
        PinName { until, id: hex(&id) }
    }

    /// Parses a name, from its folder on. `None` for any other name.
    #[must_use]
    pub fn parse(name: &str) -> Option<PinName> {
        let (until, id) = name.strip_prefix(Self::FOLDER)?.strip_prefix('/')?.split_once('-')?;
        let until = Timestamp::from_second(i64::try_from(number(until)?).ok()?).ok()?;
        is_id(id).then(|| PinName { until, id: id.to_owned() })
    }
}

impl fmt::Display for PinName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:010}-{}", Self::FOLDER, self.until.as_second().max(0), self.id)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_and_pins_are_read_back_and_nothing_else_is() {
        let boundary = Boundary { number: 7, removed: BTreeSet::from(["tails/a".to_owned()]) };
        let name = Boundary::name(boundary.number);
        assert_eq!(Boundary::number_of(&name), Some(7));
        assert_eq!(Boundary::decode(7, &boundary.encode()), Some(boundary));
        assert_eq!(Boundary::decode(7, b"{}"), None);
        let pin = PinName::new(Timestamp::from_second(1_900_000_000).unwrap(), [7; 16]);
        assert_eq!(PinName::parse(&pin.to_string()), Some(pin.clone()));
        for wrong in [
            "boundary/7",
            "boundary/000000000a",
            "pins/0000000007",
            "boundary/00000000007",
            "other/0000000007",
        ] {
            assert_eq!((Boundary::number_of(wrong), PinName::parse(wrong)), (None, None), "{wrong}");
        }
        assert_eq!(PinName::parse(&pin.to_string().to_uppercase()), None);
    }
}
