//! Writes JSON as Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` does.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Maximum number of digits after the first one in the exact decimal form of a double.
const DOUBLE_DIGITS_MAX: usize = 766;

/// An object's values as raw text. The keys are sorted by UTF-8 bytes, which is the same order as by code points, which
/// Python uses.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Writes a value that has passed the strict check. Parsing such a value cannot fail, and its depth is bounded.
pub(super) fn write(value: &RawValue, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => write_object(&serde_json::from_str(text)?, out),
        Some(b'[') => write_array(&serde_json::from_str::<Vec<&RawValue>>(text)?, out),
        Some(b'"') => {
            write_string(&serde_json::from_str::<String>(text)?, out);
            Ok(())
        }
        Some(b't' | b'f' | b'n') => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        _ => {
            out.extend_from_slice(number(text).as_bytes());
            Ok(())
        }
    }
}

pub(super) fn write_object(fields: &Fields<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    write_entries(fields.iter().map(|(key, value)| (key.as_str(), *value)), out, |value, out| {
        write(value, out)
    })
}

/// Writes an object from entries in key order.
pub(super) fn write_entries<'a, V>(
    entries: impl Iterator<Item = (&'a str, V)>,
    out: &mut Vec<u8>,
    mut write_value: impl FnMut(V, &mut Vec<u8>) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    let mut before = b'{';
    for (key, value) in entries {
        out.push(before);
        write_string(key, out);
        out.push(b':');
        write_value(value, out)?;
        before = b',';
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

fn write_array(items: &[&RawValue], out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Writes an ASCII string: everything except printable ASCII is escaped as UTF-16 code units.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            ' '..='~' => out.push(c as u8),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

/// The number `text` as Python writes it after parsing it: integers of any size unchanged, everything else as a double.
fn number(text: &str) -> String {
    if !text.contains(['.', 'e', 'E']) {
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    text.parse().map_or_else(|_| text.to_owned(), double)
}

/// Writes a double with the shortest digits that are parsed as the same double, in Python's layout: without an exponent
/// from 1e-4 to below 1e16.
fn double(value: f64) -> String {
    let (sign, digits, exponent) = shortest(value);
    match usize::try_from(exponent) {
        Ok(whole) if whole < 16 => {
            let padded = format!("{digits:0<width$}", width = whole + 1);
            let (whole, fraction) = padded.split_at(whole + 1);
            format!("{sign}{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
        }
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("{sign}0.{zeros}{digits}")
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.unsigned_abs())
        }
    }
}

/// Sign, digits and decimal exponent of the first digit: the shortest decimal that is parsed as the same double. Of
/// several such decimals it is the nearest one; of two equally near ones, the one with an even last digit, as in David
/// Gay's `dtoa`, which Python uses. Rust's standard library chooses differently between these two.
fn shortest(value: f64) -> (&'static str, String, i32) {
    let text = format!("{value:e}");
    let (sign, digits, exponent) = parts(&text);
    let tied = |even: &String| even.parse() == Ok(value);
    match even_neighbour(value, digits.len()).filter(tied) {
        Some(even) => {
            let (_, digits, exponent) = parts(&even);
            (sign, digits, exponent)
        }
        None => (sign, digits, exponent),
    }
}

/// If the exact value is halfway between two decimals with `digits` digits, returns the decimal with an even last
/// digit, otherwise None.
fn even_neighbour(value: f64, digits: usize) -> Option<String> {
    // Only a value with exactly one more digit, a 5, can be halfway.
    if parts(&format!("{value:.digits$e}")).1.len() <= digits {
        return None;
    }
    let exact = format!("{value:.DOUBLE_DIGITS_MAX$e}");
    let (sign, all, exponent) = parts(&exact);
    let (head, rest) = all.split_at_checked(digits)?;
    if rest != "5" {
        return None;
    }
    let last = head.bytes().last()?;
    let even = if last % 2 == 0 { head.to_owned() } else { one_more(head) };
    let (first, rest) = even.split_at_checked(1)?;
    // A carry out of the first digit adds a digit and increases the exponent.
    let exponent = exponent + i32::from(even.len() > digits);
    Some(format!("{sign}{first}.{rest}e{exponent}"))
}

/// The digits of the integer that follows the integer with these digits.
fn one_more(digits: &str) -> String {
    let kept = digits.trim_end_matches('9');
    let zeros = "0".repeat(digits.len() - kept.len());
    match kept.bytes().last() {
        Some(last) => format!("{}{}{zeros}", &kept[..kept.len() - 1], char::from(last + 1)),
        None => format!("1{zeros}"),
    }
}

/// Sign, digits without trailing zeros, and exponent of `{:e}` output.
fn parts(text: &str) -> (&'static str, String, i32) {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let significant = digits.trim_end_matches('0');
    let digits = if significant.is_empty() { "0" } else { significant }.to_owned();
    (sign, digits, exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests;
