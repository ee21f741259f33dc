//! The names and values of a query string.

/// The names and values, decoded; `None` if they are not UTF-8.
#[must_use]
pub fn read(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decode = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    pairs.map(decode).collect()
}

/// A query string of these names and values.
#[must_use]
pub fn write(pairs: &[(String, String)]) -> String {
    let encode = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
    pairs.iter().map(encode).collect::<Vec<_>>().join("&")
}

/// A text as a value in a query string.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => encoded.push(char::from(byte)),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn decoded(text: &str) -> Option<String> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => match code(rest) {
                Some(coded) => {
                    decoded.push(coded);
                    rest = &rest[2..];
                }
                // A percent sign that begins no code stands for itself, as the engine reads it.
                None => decoded.push(b'%'),
            },
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok()
}

/// The byte that two digits stand for.
fn code(text: &[u8]) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pairs = owned(&[("q", "a b&ä=%41+"), ("tags_any", "x"), ("tags_any", ""), ("known_at", "3")]);
        assert_eq!(write(&pairs), "q=a%20b%26%C3%A4%3D%2541%2B&tags_any=x&tags_any=&known_at=3");
        assert_eq!(read(&write(&pairs)), Some(pairs));
    }

    #[test]
    fn every_spelling_is_read() {
        assert_eq!(read("q=a+b%20c&&limit"), Some(owned(&[("q", "a b c"), ("limit", "")])));
        assert_eq!(read("q=100%&x=%zz%4"), Some(owned(&[("q", "100%"), ("x", "%zz%4")])));
        assert_eq!(read("%71=1"), Some(owned(&[("q", "1")])));
        assert_eq!(read("q=%ff"), None, "not UTF-8");
    }
}
