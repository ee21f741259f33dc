//! Kubernetes quantities: parsed from text, and converted to numbers that can be compared.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// An amount of bytes or CPU in Kubernetes notation: `10Gi`, `500m`, `2`. A bare number is accepted as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Quantity(pub String);

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError(pub String);

impl std::fmt::Display for QuantityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a Kubernetes quantity; write for example 10Gi, 500M or 250m", self.0)
    }
}

impl std::error::Error for QuantityError {}

/// The accepted texts. Signs and exponents are rejected, so that every accepted text can be compared exactly.
const PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

impl Quantity {
    /// The amount in thousandths of the unit (bytes or CPUs), rounded up. Also accepts the smaller units that the API
    /// server may write, which a manifest may not use.
    ///
    /// # Errors
    /// The text is not a quantity, or the amount exceeds that of any computer.
    pub fn milli(&self) -> Result<u128, QuantityError> {
        let invalid = || QuantityError(self.0.clone());
        let digits = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(digits);
        let nano_per_unit = nano_per(suffix).ok_or_else(invalid)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || whole.len() > 19 || fraction.len() > 9 {
            return Err(invalid());
        }
        let whole: u128 = whole.parse().map_err(|_| invalid())?;
        let billionths: u128 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
        let of_fraction = billionths.checked_mul(nano_per_unit).ok_or_else(invalid)?.div_ceil(1_000_000_000);
        let nano = whole.checked_mul(nano_per_unit).and_then(|nano| nano.checked_add(of_fraction));
        Ok(nano.ok_or_else(invalid)?.div_ceil(1_000_000))
    }

    /// The amount in complete units (bytes or CPUs), rounded up.
    ///
    /// # Errors
    /// As [`Quantity::milli`].
    pub fn units(&self) -> Result<u128, QuantityError> {
        Ok(self.milli()?.div_ceil(1000))
    }
}

fn nano_per(suffix: &str) -> Option<u128> {
    const UNIT: u128 = 1_000_000_000;
    Some(match suffix {
        "n" => 1,
        "u" => 1000,
        "m" => 1_000_000,
        "" => UNIT,
        "k" => UNIT * 1000,
        "M" => UNIT * 1_000_000,
        "G" => UNIT * 1_000_000_000,
        "T" => UNIT * 1_000_000_000_000,
        "P" => UNIT * 1_000_000_000_000_000,
        "E" => UNIT * 1_000_000_000_000_000_000,
        "Ki" => UNIT << 10,
        "Mi" => UNIT << 20,
        "Gi" => UNIT << 30,
        "Ti" => UNIT << 40,
        "Pi" => UNIT << 50,
        "Ei" => UNIT << 60,
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Quantity;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a quantity such as 10Gi or 2")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": PATTERN,
            "maxLength": 32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, milli: Option<u128>) {
        assert_eq!(Quantity(text.into()).milli().ok(), milli, "{text}");
    }

    #[test]
    fn quantities_compare_as_numbers() {
        check("1", Some(1000));
        check("250m", Some(250));
        check("1.5Gi", Some(1_610_612_736_000));
        check("1Gi", Quantity("1024Mi".into()).milli().ok());
        check("1G", Some(1_000_000_000_000));
        check("0.0001", Some(1));
        check("100u", Some(1));
        check("1500000n", Some(2));
        check("1Ei", Quantity("1024Pi".into()).milli().ok());
        check("9223372036854775807", Some(9_223_372_036_854_775_807_000));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for text in ["", "Gi", "-1", "1e3", "1 Gi", "1Xi", ".5", "1.2.3", "99999999999999999999", "１"] {
            check(text, None);
        }
    }
}
