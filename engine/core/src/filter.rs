//! Filters on the fields of an item's value.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::limits::ITEM_CONDITIONS_MAX;
use crate::request::Refused;

/// A checked filter: all conditions must hold.
///
/// `{"field": value}` matches that value, `{"field": {"$gt": 1, "$lte": 9}}` compares (`$eq`, `$ne`, `$gt`, `$gte`,
/// `$lt`, `$lte`), and `{"field": {"inner": …}}` applies a condition to a nested field. A missing field is null. Only
/// two numbers or two texts can be ordered; numbers are equal by value, texts are ordered by code point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<(String, Condition)>);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Compare(Vec<(Operator, Value)>),
    Within(Filter),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Size(&'static [Ordering]),
}

impl Operator {
    fn named(name: &str) -> Option<Operator> {
        Some(match name {
            "$eq" => Operator::Equal,
            "$ne" => Operator::NotEqual,
            "$gt" => Operator::Size(&[Ordering::Greater]),
            "$gte" => Operator::Size(&[Ordering::Greater, Ordering::Equal]),
            "$lt" => Operator::Size(&[Ordering::Less]),
            "$lte" => Operator::Size(&[Ordering::Less, Ordering::Equal]),
            _ => return None,
        })
    }

    fn holds(self, found: &Value, wanted: &Value) -> bool {
        match self {
            Operator::Equal => equal(found, wanted),
            Operator::NotEqual => !equal(found, wanted),
            Operator::Size(orders) => size(found, wanted).is_some_and(|order| orders.contains(&order)),
        }
    }
}

impl Filter {
    /// Validates a filter sent by a client.
    pub fn new(conditions: &Map<String, Value>) -> Result<Filter, Refused> {
        let mut left = ITEM_CONDITIONS_MAX;
        read(conditions, &mut left)
    }

    /// Whether a value meets all conditions.
    pub fn matches(&self, value: &Value) -> bool {
        self.0.iter().all(|(name, condition)| {
            let found = value.get(name).unwrap_or(&Value::Null);
            match condition {
                Condition::Compare(all) => all.iter().all(|(operator, wanted)| operator.holds(found, wanted)),
                Condition::Within(inner) => found.is_object() && inner.matches(found),
            }
        })
    }

    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read(conditions: &Map<String, Value>, left: &mut usize) -> Result<Filter, Refused> {
    let mut found = Vec::with_capacity(conditions.len());
    for (name, wanted) in conditions {
        if name.starts_with('$') {
            return Err(unknown());
        }
        let condition = match wanted.as_object() {
            Some(fields) if fields.keys().any(|name| name.starts_with('$')) => {
                let compare = fields.iter().map(|(name, wanted)| {
                    spend(left)?;
                    let operator = Operator::named(name).ok_or_else(unknown)?;
                    Ok((operator, wanted.clone()))
                });
                Condition::Compare(compare.collect::<Result<_, Refused>>()?)
            }
            Some(fields) if !fields.is_empty() => Condition::Within(read(fields, left)?),
            _ => {
                spend(left)?;
                Condition::Compare(vec![(Operator::Equal, wanted.clone())])
            }
        };
        found.push((name.clone(), condition));
    }
    Ok(Filter(found))
}

fn unknown() -> Refused {
    Refused::Body("the operators of a filter are $eq, $ne, $gt, $gte, $lt and $lte, below a field".into())
}

fn spend(left: &mut usize) -> Result<(), Refused> {
    let fault = || Refused::Body(format!("a filter has at most {ITEM_CONDITIONS_MAX} conditions"));
    *left = left.checked_sub(1).ok_or_else(fault)?;
    Ok(())
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => size(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, value)| other.get(name).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

fn size(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => match (whole(one), whole(other)) {
            // Integers are compared as integers, because floats cannot distinguish large ones.
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            (Some(one), None) => Some(whole_to_fraction(one, other.as_f64()?)),
            (None, Some(other)) => Some(whole_to_fraction(other, one.as_f64()?).reverse()),
            (None, None) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        _ => None,
    }
}

/// The number as an integer; None if it is not a signed or unsigned 64-bit integer.
fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Compares the 64-bit integer `whole` with the finite float `fraction` by their exact values.
fn whole_to_fraction(whole: i128, fraction: f64) -> Ordering {
    // A float outside of the range of `i128` saturates; the result is still greater or less than every 64-bit integer.
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number, and saturates")]
    let floor = fraction.floor() as i128;
    let is_between = fraction.floor() < fraction;
    whole.cmp(&floor).then(if is_between { Ordering::Less } else { Ordering::Equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(conditions: &Value) -> Result<Filter, Refused> {
        Filter::new(conditions.as_object().unwrap())
    }

    #[test]
    fn every_condition_has_to_hold() {
        let value = json!({"n": 5, "half": 0.5, "s": "b", "list": [1, {"a": 2.0}], "in": {"x": 1, "y": null}, "yes": true});
        let cases = [
            (json!({}), true),
            (json!({"n": 5}), true),
            (json!({"n": 5.0}), true),
            (json!({"n": "5"}), false),
            (json!({"n": {"$eq": 5, "$gt": 4, "$gte": 5, "$lt": 6, "$lte": 5, "$ne": 4}}), true),
            (json!({"n": {"$gt": 5}}), false),
            (json!({"n": {"$lt": 5}}), false),
            (json!({"n": {"$gte": 5.5}}), false),
            (json!({"half": {"$lt": 1, "$gt": 0}}), true),
            (json!({"s": {"$gt": "a", "$lt": "c"}}), true),
            (json!({"s": {"$gt": 1}}), false),
            (json!({"yes": {"$gte": 1}}), false),
            (json!({"list": [1.0, {"a": 2}]}), true),
            (json!({"list": [1]}), false),
            (json!({"in": {"x": 1}}), true),
            (json!({"in": {"x": {"$lt": 1}}}), false),
            (json!({"in": {"$eq": {"x": 1, "y": null}}}), true),
            (json!({"in": {"$eq": {"x": 1}}}), false),
            (json!({"in": {}}), false),
            (json!({"none": null}), true),
            (json!({"none": {"$ne": 1}}), true),
            (json!({"none": {"$gt": 1}}), false),
            (json!({"n": 5, "s": "c"}), false),
        ];
        for (conditions, expected) in cases {
            assert_eq!(filter(&conditions).unwrap().matches(&value), expected, "{conditions}");
        }
        assert!(!filter(&json!({"n": 5})).unwrap().matches(&json!([5])), "a value without fields");
    }

    #[test]
    fn large_numbers_are_told_apart() {
        let exact = filter(&json!({"n": {"$gt": 9_007_199_254_740_992_i64}})).unwrap();
        assert!(exact.matches(&json!({"n": 9_007_199_254_740_993_i64})));
        assert!(!exact.matches(&json!({"n": 9_007_199_254_740_992_i64})));
    }

    #[test]
    fn neighbours_above_two_to_the_63_are_two_numbers() {
        let numbers = [
            "-1e300",
            "-9223372036854775808",
            "-9007199254740993",
            "-9007199254740992.0",
            "-0.5",
            "0",
            "0.5",
            "9007199254740992.0",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "9223372036854775809",
            "18446744073709551614",
            "18446744073709551615",
            "1e300",
        ];
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (i, one) in numbers.iter().enumerate() {
            for (j, other) in numbers.iter().enumerate() {
                let value = json!({ "n": number(one) });
                let holds = |operator: &str| {
                    filter(&json!({ "n": { operator: number(other) } })).unwrap().matches(&value)
                };
                let found =
                    [holds("$lt"), holds("$eq"), holds("$gt"), holds("$lte"), holds("$ne"), holds("$gte")];
                assert_eq!(found, [i < j, i == j, i > j, i <= j, i != j, i >= j], "{one} and {other}");
            }
        }
        assert!(filter(&json!({"n": 5.0})).unwrap().matches(&json!({"n": 5})));
        assert!(filter(&json!({"n": 0})).unwrap().matches(&json!({"n": -0.0})));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for conditions in [json!({"n": {"$in": [1]}}), json!({"$eq": 1}), json!({"n": {"$gt": 1, "x": 2}})] {
            assert!(filter(&conditions).is_err(), "{conditions}");
        }
        let of = |n: usize| (0..n).map(|n| (n.to_string(), json!(n))).collect::<Map<_, _>>();
        assert!(Filter::new(&of(ITEM_CONDITIONS_MAX)).is_ok());
        assert!(Filter::new(&of(ITEM_CONDITIONS_MAX + 1)).is_err());
    }
}
