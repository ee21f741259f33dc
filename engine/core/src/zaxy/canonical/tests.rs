//! Compares numbers and strings with the output of CPython.

use std::io::Write;

use super::*;

fn check(text: &str, expected: &str) {
    let mut out = Vec::new();
    write(serde_json::from_str(text).unwrap(), &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
}

/// The right-hand sides are the output of CPython 3.11 for `json.dumps(json.loads(left))`.
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

/// Exact values halfway between two shortest decimals; the right-hand sides are CPython's output.
#[test]
fn of_two_shortest_texts_the_even_one_is_written() {
    for (text, expected) in [
        ("1338253595894726.25", "1338253595894726.2"),
        ("1338253595894726.75", "1338253595894726.8"),
        ("-1338253595894726.25", "-1338253595894726.2"),
        ("1125899906842624.125", "1125899906842624.0"),
        ("1125899906842624.25", "1125899906842624.2"),
        ("1125899906842624.75", "1125899906842624.8"),
        ("2251799813685247.75", "2251799813685247.8"),
        ("5e-324", "5e-324"),
        ("9.5367431640625e-07", "9.5367431640625e-07"),
        ("5.6843418860808015e-14", "5.684341886080802e-14"),
        ("4503599627370497.5", "4503599627370498.0"),
        ("9.5e15", "9500000000000000.0"),
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
    // U+FF61 sorts before U+10000, although its first UTF-16 unit is larger.
    check("{\"\u{10000}\":1,\"\u{ff61}\":2}", r#"{"\uff61":2,"\ud800\udc00":1}"#);
    check("[true, false , null,\"\"]", r#"[true,false,null,""]"#);
}

/// Doubles of all kinds: random bits, and values that are often halfway between two decimals.
struct Doubles(u64);

impl Doubles {
    fn bits(&mut self) -> u64 {
        // The generator xorshift64* gives the same sample in every run.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn next(&mut self) -> f64 {
        let bits = self.bits();
        let power = i32::try_from(self.bits() % 2098).unwrap_or(0) - 1074;
        let near = |value: f64| f64::from_bits((value.to_bits() + bits % 5).saturating_sub(2));
        let found = match self.bits() % 8 {
            0 | 1 => f64::from_bits(bits),
            // Multiples of a quarter or an eighth so large that the distance between two doubles is about one unit of
            // the last decimal digit.
            2..=4 => {
                let exponent = 1023 + 46 + self.bits() % 10;
                f64::from_bits((exponent << 52) | (bits >> 12))
            }
            5 => near(2_f64.powi(power)),
            6 => near(format!("1e{}", power % 309).parse().unwrap_or(1.0)),
            _ => f64::from_bits(bits >> 12 >> (bits % 50)),
        };
        if found.is_finite() { found } else { 0.0 }
    }
}

/// Compares `count` doubles with the output of the installed Python.
#[expect(
    clippy::disallowed_types,
    reason = "the test runs Python; nothing else in the crate starts a program"
)]
fn compare_with_python(count: usize, seed: u64) {
    let mut doubles = Doubles(seed);
    let values: Vec<f64> = (0..count).map(|_| doubles.next()).collect();
    let mut hex = tempfile::NamedTempFile::new().unwrap();
    let texts: String = values.iter().map(|value| format!("{:016x}\n", value.to_bits())).collect();
    hex.write_all(texts.as_bytes()).unwrap();
    let program = "import struct, sys\nfor line in open(sys.argv[1]): print(repr(struct.unpack('>d', bytes.fromhex(line))[0]))";
    let ran = std::process::Command::new("python3").args(["-c", program]).arg(hex.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let theirs = String::from_utf8(ran.stdout).unwrap();
    let mut tied = 0;
    let mut lines = theirs.lines();
    for value in &values {
        assert_eq!(double(*value), lines.next().unwrap(), "{:016x}", value.to_bits());
        tied += usize::from(even_neighbour(*value, parts(&format!("{value:e}")).1.len()).is_some());
    }
    assert!(tied > count / 100, "only {tied} of {count} lie halfway: the sample is too weak");
}

#[test]
fn doubles_are_written_as_the_python_that_is_here_writes_them() {
    compare_with_python(50_000, 0x5EED);
}

#[test]
#[ignore = "a million doubles take a while: `cargo test -p engine-core --lib -- --ignored a_million_doubles`"]
fn a_million_doubles_are_written_as_python_writes_them() {
    compare_with_python(1_000_000, 0xD0_0B1E);
}
