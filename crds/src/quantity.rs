//! Kubernetes quantities: as written by a person, and as a number that can be compared.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// An amount of bytes or CPU as Kubernetes writes it: `10Gi`, `500m`, `2`. A bare number is accepted as well.
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

/// The accepted texts: no sign, no exponent, so that every text that passes can be compared exactly.
const PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

impl Quantity {
    /// The amount in thousandths of the unit (bytes or CPUs), rounded up.
    ///
    /// # Errors
    /// The text is not a quantity in the accepted form.
    pub fn milli(&self) -> Result<u128, QuantityError> {
        let invalid = || QuantityError(self.0.clone());
        let digits = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(digits);
        let milli_per_unit = milli_per(suffix).ok_or_else(invalid)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || whole.len() > 18 || fraction.len() > 9 {
            return Err(invalid());
        }
        let whole: u128 = whole.parse().map_err(|_| invalid())?;
        let billionths: u128 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
        Ok(whole * milli_per_unit + (billionths * milli_per_unit).div_ceil(1_000_000_000))
    }

    /// The amount in whole units (bytes, CPUs), rounded up.
    ///
    /// # Errors
    /// As [`Quantity::milli`].
    pub fn units(&self) -> Result<u128, QuantityError> {
        Ok(self.milli()?.div_ceil(1000))
    }
}

fn milli_per(suffix: &str) -> Option<u128> {
    Some(match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        "Pi" => 1000 << 50,
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
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for text in ["", "Gi", "-1", "1e3", "1 Gi", "1Xi", ".5", "1.2.3", "9999999999999999999", "１"] {
            check(text, None);
        }
    }
}
