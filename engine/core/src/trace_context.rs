//! Identifiers that connect the log lines, traces and answers of one request across programs: the id of the request
//! (`x-request-id`) and the trace context of the W3C (`traceparent`).

use std::fmt;

use crate::digest::hex;
use crate::policy::is_clean;

/// Name of the header with the id of a request.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Name of the header with the trace context.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// Maximum length of a request id that a caller sends. The usual ids have at most 64 characters.
pub const REQUEST_ID_CHARS_MAX: usize = 128;

/// Length of a `traceparent` of version 00.
const TRACEPARENT_LEN: usize = 55;

/// Returns the request id that a caller sent, if it may appear in logs: ASCII letters, digits and `-_.:`, not too long,
/// and neither a secret nor personal data.
#[must_use]
pub fn accepted_request_id(sent: &[u8]) -> Option<&str> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    if !(1..=REQUEST_ID_CHARS_MAX).contains(&sent.len()) || !sent.iter().all(is_allowed) {
        return None;
    }
    std::str::from_utf8(sent).ok().filter(|text| is_uuid(sent) || is_clean(text))
}

/// Whether a text is a UUID, as most request ids are. Programs make this form for ids, so the detectors are not asked,
/// which would take longer than everything else about the ids of a request.
fn is_uuid(text: &[u8]) -> bool {
    let is_digit = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.iter().enumerate().all(is_digit)
}

/// A `traceparent`: the trace that a request belongs to, and the span of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span of the caller.
    pub span_id: [u8; 8],
    /// Whether the caller records the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// Parses the value of the header. Fields that a later version appends are ignored, as the standard requires.
    #[must_use]
    pub fn parse(sent: &[u8]) -> Option<TraceParent> {
        let known = sent.get(..TRACEPARENT_LEN)?;
        let is_longer = sent.len() > TRACEPARENT_LEN;
        let [version, flags] = [&known[..2], &known[53..]].map(octets::<1>);
        let (version, flags) = (version?[0], flags?[0]);
        let separated = [2, 35, 52].iter().all(|place| known[*place] == b'-');
        let valid_end = if version == 0 { !is_longer } else { !is_longer || sent[TRACEPARENT_LEN] == b'-' };
        if version == 0xff || !separated || !valid_end {
            return None;
        }
        let (trace_id, span_id) = (octets(&known[3..35])?, octets(&known[36..52])?);
        let is_zero = trace_id == [0; 16] || span_id == [0; 8];
        (!is_zero).then_some(TraceParent { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The trace id in lower-case hex digits.
    #[must_use]
    pub fn trace(&self) -> String {
        hex(&self.trace_id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.trace_id), hex(&self.span_id), u8::from(self.sampled))
    }
}

/// Parses exactly `N` bytes in lower-case hex digits.
fn octets<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut parsed = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (place, pair) in parsed.iter_mut().zip(digits.chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_is_read_as_the_standard_defines_it() {
        let parsed = TraceParent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(parsed.to_string(), VALID);
        assert_eq!(parsed.trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let of = |text: &str| TraceParent::parse(text.as_bytes());
        assert!(of(&VALID.replace("-01", "-00")).is_some_and(|it| !it.sampled));
        assert!(of(&VALID.replace("-01", "-ff")).is_some_and(|it| it.sampled), "unknown flags are ignored");
        assert!(of(&format!("01{}-what-comes-later", &VALID[2..])).is_some());
        for bad in [
            String::new(),
            VALID[..54].to_owned(),
            format!("{VALID}-more"),
            format!("ff{}", &VALID[2..]),
            format!("01{}x", &VALID[2..]),
            VALID.to_uppercase(),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            VALID.replace('-', "_"),
            VALID.replace('4', "g"),
        ] {
            assert_eq!(of(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_is_short_plain_and_clean() {
        let longest = "a".repeat(REQUEST_ID_CHARS_MAX);
        for good in ["550e8400-e29b-41d4-a716-446655440000", "1:a.b_c", "7", &longest] {
            assert_eq!(accepted_request_id(good.as_bytes()), Some(good));
        }
        let token = ["AK", "IA", "2345ABCDEFGHQRST"].concat();
        for bad in ["", "a b", "a\"b", "a\nb", "é", "+41-44-668-18-00", &token, &format!("{longest}a")] {
            assert_eq!(accepted_request_id(bad.as_bytes()), None, "{bad}");
        }
    }
}
