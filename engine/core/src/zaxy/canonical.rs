//! JSON as Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` writes it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// An object's values as they stand in the text. Sorted by bytes of UTF-8, which is the order of code points.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Writes a value. It was checked to be strict JSON before, so reading it cannot fail; depth is bounded by that check.
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

/// Writes an object whose keys come in order.
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

/// Writes a string in ASCII: everything but printable ASCII is escaped, in UTF-16.
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

/// A number as Python writes what it has read: integers of any size digit by digit, everything else as a double.
fn number(text: &str) -> String {
    if !text.contains(['.', 'e', 'E']) {
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    text.parse().map_or_else(|_| text.to_owned(), double)
}

/// The shortest digits that read back as the same double, laid out as Python does: plain from 1e-4 to below 1e16.
fn double(value: f64) -> String {
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write(serde_json::from_str(text).unwrap(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
    }

    /// The right-hand sides are what CPython 3.11 printed for `json.dumps(json.loads(left))`.
    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (text, expected) in [
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("0e5", "0.0"),
            ("1E2", "100.0"),
            ("1e16", "1e+16"),
            ("1e15", "1000000000000000.0"),
            ("123456789012345678.5", "1.2345678901234568e+17"),
            ("9999999999999999.0", "1e+16"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("0.00012345", "0.00012345"),
            ("1.5e300", "1.5e+300"),
            ("5e-324", "5e-324"),
            ("2.2250738585072011e-308", "2.225073858507201e-308"),
            ("0.1", "0.1"),
            ("100.25", "100.25"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("9007199254740993.0", "9007199254740992.0"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn strings_are_ascii_and_keys_are_sorted_by_code_point() {
        check(
            "\"é😀\u{7f}\\u2028\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
            r#""\u00e9\ud83d\ude00\u007f\u2028/\b\f\n\r\t\"\\""#,
        );
        check("{ \"b\" : [ ] , \"a\" : { } }", r#"{"a":{},"b":[]}"#);
        // U+FF61 comes before U+10000, although its first UTF-16 unit is larger.
        check("{\"\u{10000}\":1,\"\u{ff61}\":2}", r#"{"\uff61":2,"\ud800\udc00":1}"#);
        check("[true, false , null,\"\"]", r#"[true,false,null,""]"#);
    }
}
