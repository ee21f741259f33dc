//! Reads times in requests. A text that is not an RFC 3339 time is refused with an example of one.

use std::fmt;

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::{SignedDuration, Timestamp};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// What a time must look like; part of the error message.
pub const RULE: &str = "a time such as 2026-01-31T12:00:00Z (RFC 3339, with Z or an offset)";

/// Upper bound of offsets from UTC, exclusive, seconds.
const OFFSET_MAX: i32 = 24 * 60 * 60;
/// The Unix epoch.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The latest time that can be stored. It is a whole number of seconds, so that it can be represented exactly in
/// microseconds, the unit in which times are compared.
pub const LAST: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// Reads an RFC 3339 time. The latest time that can be stored is 9999-12-30T22:00Z; later times are lowered to it,
/// because clients send a time at the end of the calendar to mean "never ends".
pub fn read(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = pieces.to_numeric_offset()?.seconds();
    if offset.abs() >= OFFSET_MAX {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(LAST.min(time));
    }
    let local = DateTime::from_parts(pieces.date(), pieces.time()?);
    let since = local.duration_since(EPOCH) - SignedDuration::from_secs(offset.into());
    (since > LAST.as_duration()).then_some(LAST)
}

/// Deserialises a time.
pub fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    deserializer.deserialize_str(Text)
}

/// Deserialises a time or null.
pub fn maybe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<Moment>::deserialize(deserializer)?.map(|Moment(time)| time))
}

struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        exact(deserializer).map(Moment)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RULE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        read(text).ok_or_else(|| E::custom(format_args!("it must be {RULE}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_calendar_is_the_last_time_there_is() {
        for end in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T00:00:00Z",
            "9999-12-30T22:00:01Z",
            "9999-12-30T22:00:00.5Z",
            "9999-12-30T22:00:00Z",
            "9999-12-31T23:59:59+00:00",
            "9999-12-31T23:59:59+01:00",
            "9999-12-31T23:59:59-12:00",
            "9999-12-31t23:59:59z",
        ] {
            assert_eq!(read(end), Some(LAST), "{end}");
        }
        let said = LAST.to_string();
        assert_eq!(read(&said), Some(LAST), "what is told of it can be sent again");
        assert!(Timestamp::from_microsecond(LAST.as_microsecond()).is_ok_and(|time| time == LAST));
        let before = read("9999-12-30T21:59:59Z").unwrap();
        assert!(before < LAST);
        assert!(read("9999-12-31T21:00:00+23:59").unwrap() < LAST, "the offset counts");
    }

    #[test]
    fn what_is_no_time_stays_none() {
        for bad in [
            "",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-12-32T23:59:59Z",
            "9999-12-31T24:00:01Z",
            "10000-01-01T00:00:00Z",
            "2026-01-31T12:00:00+25:00",
            "2026-01-31T12:00:00-24:00",
            "9999-12-31T23:59:59+24:00",
            "2026-02-30T12:00:00Z",
            "never",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("2026-01-31T12:00:00+23:59"), "2026-01-30T12:01:00Z".parse().ok());
    }
}
