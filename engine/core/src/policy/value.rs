//! Classifies values: passwords, random tokens, names, and placeholders for secrets.

use std::ops::Range;

use super::checks::entropy_bits;

/// Minimum entropy of a token that is recognised by its format, bits per character. Placeholders such as `xxxx` have
/// less.
const ENTROPY_OF_FORM: f64 = 3.0;
/// Minimum entropy of a token that is recognised only by the words before it, bits per character. Words and paths have
/// less.
pub(super) const ENTROPY_OF_TOKEN: f64 = 3.3;
/// Minimum entropy of a token of hexadecimal digits. Lower, because there are only sixteen digits.
const ENTROPY_OF_HEX: f64 = 2.9;
/// Minimum entropy of a password, bits per character. Lower, because people choose passwords.
const ENTROPY_OF_PASSWORD: f64 = 2.2;
/// Minimum length of a password, in characters.
const PASSWORD_CHARS_MIN: usize = 6;
/// Minimum length of a password that only a space separates from its name, in characters.
const SAID_PASSWORD_CHARS_MIN: usize = 8;
/// Minimum length of a token that is recognised only by the words before it, in characters.
pub(super) const TOKEN_CHARS_MIN: usize = 16;
/// Minimum length of a token of letters only, or of a token that follows its name without a sign between them, in
/// characters.
const LONG_TOKEN_CHARS_MIN: usize = 20;

/// Accepts a token recognised by its prefix, unless it is one repeated character or made of words.
pub(super) fn form(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let starts = found.start == 0 || !text[found.start - 1].is_ascii_alphanumeric();
    let token = &text[found.clone()];
    (starts && entropy_bits(token) >= ENTROPY_OF_FORM && !is_row(token)).then_some(found)
}

/// Accepts a token as [`form`] does, if it also has both letters and digits. For prefixes with which words can start
/// too.
pub(super) fn mixed_form(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    mixed(&text[found.clone()]).then(|| form(text, found))?
}

/// Accepts a match with both letters and digits and an entropy of at least `bits` per character, so that it looks
/// random.
pub(super) fn random(text: &[u8], found: Range<usize>, bits: f64) -> Option<Range<usize>> {
    let token = &text[found.clone()];
    (mixed(token) && entropy_bits(token) >= bits).then_some(found)
}

/// Whether the token contains both letters and digits.
pub(super) fn mixed(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit) && token.iter().any(u8::is_ascii_alphabetic)
}

/// Whether a third or more of the token is one repeated character, as in `AKIAXXXXXXXXXXXXXXXX`.
pub(super) fn is_row(token: &[u8]) -> bool {
    let mut longest = 0;
    let mut row = 0;
    for (at, byte) in token.iter().enumerate() {
        row = if at > 0 && token[at - 1].eq_ignore_ascii_case(byte) { row + 1 } else { 1 };
        longest = longest.max(row);
    }
    longest * 3 >= token.len().max(1)
}

/// Whether upper-case and lower-case letters alternate as in random text: a name joined from words has few capitals.
pub(super) fn random_letters(token: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| token.iter().filter(|byte| is(byte)).count();
    let (small, capital) = (count(u8::is_ascii_lowercase), count(u8::is_ascii_uppercase));
    let turns =
        token.windows(2).filter(|pair| pair[0].is_ascii_lowercase() != pair[1].is_ascii_lowercase()).count();
    let third = (small + capital) / 3;
    token.len() >= LONG_TOKEN_CHARS_MIN && small >= third && capital >= third && turns * 3 >= token.len()
}

/// What connects a value with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// A sign or a word assigns it: `=`, `:`, `is`, the bracket of a call.
    Given,
    /// The value only follows the name.
    Behind,
}

/// Whether the value may be a password that a person chose.
pub(super) fn is_password(value: &[u8], quoted: bool, said: Said) -> bool {
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    let digits = value.iter().any(u8::is_ascii_digit);
    let marks = value.iter().any(|byte| b"!#$%^&*+?@~|".contains(byte));
    let joined = value.iter().any(|byte| b"-/.:_".contains(byte));
    let (fewest, others) = match said {
        Said::Given => (PASSWORD_CHARS_MIN, digits || marks),
        Said::Behind => (SAID_PASSWORD_CHARS_MIN, digits && !is_words(value)),
    };
    let spaces = value.iter().filter(|byte| **byte == b' ').count();
    value.len() >= fewest
        && letters
        && others
        // A value with more spaces is a sentence, even in quotes.
        && spaces <= 5
        && !is_code(value, quoted)
        && !is_placeholder(value)
        && !(joined && is_words(value))
        && !value.windows(3).any(|mark| mark == b"://")
        && entropy_bits(value) >= ENTROPY_OF_PASSWORD
}

/// Whether the value is a key or a token: long, with letters and digits, of high entropy, and not the name of
/// something. `owned` means that the preceding name tells what the value gives access to, as `api_key` does: then a
/// UUID is a secret too.
pub(super) fn is_token(value: &[u8], said: Said, owned: bool) -> bool {
    let fewest = match said {
        Said::Given => TOKEN_CHARS_MIN,
        Said::Behind => LONG_TOKEN_CHARS_MIN,
    };
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    // Digests, addresses and resource names are recognised by their format.
    let kinds = [
        &b"sha1:"[..],
        b"sha256:",
        b"sha384:",
        b"sha512:",
        b"md5:",
        b"arn:",
        b"AAAAB3NzaC1",
        b"AAAAC3NzaC1",
        b"AAAAE2VjZHNh",
    ];
    let named =
        kinds.iter().any(|kind| value.len() > kind.len() && value[..kind.len()].eq_ignore_ascii_case(kind))
            || value.windows(3).any(|mark| mark == b"://" || mark == b"%20")
            || is_file(value);
    // A value that only follows a word may be the hash of a commit or of a file.
    let digest = hex && said == Said::Behind && matches!(value.len(), 40 | 64);
    let varied = entropy_bits(value) >= if hex { ENTROPY_OF_HEX } else { ENTROPY_OF_TOKEN };
    let charset = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_.~%-:@$!*&^#|".contains(byte);
    value.len() >= fewest
        && (mixed(value) || random_letters(value))
        && varied
        && !digest
        && !named
        && value.iter().all(charset)
        && !is_words(value)
        && !is_placeholder(value)
        && !is_row(value)
        && (owned || !is_uuid(value))
}

/// Whether the value is a file name or a path: `pkcs11:key-1.yaml`, `/tmp/node-e2e-123456`.
fn is_file(value: &[u8]) -> bool {
    const ENDS: [&str; 20] = [
        "yaml", "yml", "json", "pem", "key", "crt", "cer", "txt", "conf", "toml", "env", "cfg", "ini", "xml",
        "md", "log", "sh", "py", "js", "pub",
    ];
    let end = value.iter().rposition(|byte| *byte == b'.').map_or(&b""[..], |at| &value[at + 1..]);
    let first = value.strip_prefix(b"/").and_then(|rest| rest.split(|byte| *byte == b'/').next());
    let path = first.is_some_and(|first| {
        first.len() > 2 && first.len() < value.len() - 1 && first.iter().all(u8::is_ascii_lowercase)
    });
    path || ENDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(end))
}

/// Whether the value is code that refers to a password: a call, an index, a variable, a template or a tag. In quotes,
/// brackets are ordinary characters, so only templates count as code.
fn is_code(value: &[u8], quoted: bool) -> bool {
    if is_template(value) {
        return true;
    }
    if quoted {
        return false;
    }
    if matches!(
        value.first(),
        Some(b'$' | b'%' | b'@' | b'/' | b'.' | b'(' | b'[' | b'{' | b'<' | b'&' | b'*' | b'!')
    ) {
        return true;
    }
    let name = value.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(byte)).count();
    matches!(value.get(name), Some(b'(' | b'[' | b'{' | b'<')) && is_words(&value[..name])
        || matches!(value.get(name..name + 2), Some(b"()" | b"[]" | b"{}" | b"->"))
}

/// Whether the value is a template or a variable: `${NAME}`, `{{ .Values.x }}`, `$(command)`, `#{name}`, `<%= name %>`,
/// `%NAME%`, `<your-password>`, `$NAME`.
pub(super) fn is_template(value: &[u8]) -> bool {
    const OPEN: [(&[u8], &[u8]); 8] = [
        (b"${{", b"}}"),
        (b"${", b"}"),
        (b"{{", b"}}"),
        (b"$(", b")"),
        (b"#{", b"}"),
        (b"<%", b"%>"),
        (b"<", b">"),
        (b"{", b"}"),
    ];
    let name = |part: &[u8]| {
        let part = part.trim_ascii();
        part.len() > 1
            && part.iter().any(u8::is_ascii_alphabetic)
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-. :'\"/|$=(),[]".contains(byte))
    };
    let holds = |(open, close): &(&[u8], &[u8])| {
        value.windows(open.len()).position(|part| part == *open).is_some_and(|at| {
            let inner = &value[at + open.len()..];
            inner.windows(close.len()).position(|part| part == *close).is_some_and(|end| name(&inner[..end]))
        })
    };
    let variable = |rest: &[u8]| {
        !rest.is_empty() && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let cut = [&b"${"[..], b"{{", b"$(", b"<"].iter().any(|open| {
        value.starts_with(open) && !value.contains(&b'}') && !value.contains(&b'>') && !value.contains(&b')')
    });
    cut || OPEN.iter().any(holds)
        || value.strip_prefix(b"$").is_some_and(variable)
        || value.strip_prefix(b"%").and_then(|rest| rest.strip_suffix(b"%")).is_some_and(variable)
}

/// Whether the value is a UUID. Most UUIDs identify something and give no access.
pub(super) fn is_uuid(value: &[u8]) -> bool {
    let groups: Vec<usize> = value.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
    groups == [8, 4, 4, 4, 12] && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Whether the value consists of words, numbers and versions joined by punctuation, such as `db-credentials-v2`,
/// `conf/app.yaml` or `2026-01-31T12`: names of things. No part mixes letters and digits, except for one letter before
/// a number.
pub(super) fn is_words(value: &[u8]) -> bool {
    let parts = value.split(|byte| b"-_./:=%+~@#$!*&^|".contains(byte));
    parts.into_iter().all(|part| {
        let name = part.strip_prefix(b"v").unwrap_or(part);
        let name = name.trim_ascii_end();
        name.iter().all(u8::is_ascii_digit) || (part.len() < 24 && single_case(part))
    })
}

/// Whether the part is a word in ordinary spelling: letters in lower case, in upper case or capitalised, followed by at
/// most two digits.
fn single_case(part: &[u8]) -> bool {
    let letters = part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, number) = part.split_at(letters);
    let small = word.iter().skip(1).all(u8::is_ascii_lowercase);
    let humps =
        word.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    letters > 1
        && number.len() <= 2
        && number.iter().all(u8::is_ascii_digit)
        && (small || word.iter().all(u8::is_ascii_uppercase) || humps * 4 <= letters)
}

/// Placeholder words for secrets.
const PLACEHOLDERS: [&str; 26] = [
    "p4ssw0rd",
    "secr3t",
    "changeme",
    "change-me",
    "change_me",
    "example",
    "placeholder",
    "redacted",
    "your",
    "xxxx",
    "****",
    "....",
    "password",
    "passw0rd",
    "secret",
    "dummy",
    "fake",
    "foobar",
    "insert",
    "replace",
    "todo",
    "null",
    "none",
    "<",
    "${",
    "[",
];
/// Placeholders that may occur anywhere in a value.
const PLACEHOLDERS_INSIDE: [&str; 7] =
    ["example", "placeholder", "changeme", "xxxxxx", "your-", "your_", "redacted"];

pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let value = String::from_utf8_lossy(value).to_lowercase();
    PLACEHOLDERS.iter().any(|placeholder| value.starts_with(placeholder))
        || PLACEHOLDERS_INSIDE.iter().any(|placeholder| value.contains(placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_tokens() {
        for words in [
            "db-credentials-v2",
            "conf/app.yaml",
            "2026-01-31",
            "metadata.name",
            "v1.2.3",
            "MEMORY_ENGINE_KEY",
            "camelCaseName2",
        ] {
            assert!(is_words(words.as_bytes()), "{words}");
        }
        for random in ["a8Kf0zQ93mN", "0123abcd4567", "hunter2x9"] {
            assert!(!is_words(random.as_bytes()), "{random}");
        }
        assert!(is_uuid(b"550e8400-e29b-41d4-a716-446655440000"));
    }

    #[test]
    fn templates_are_no_values() {
        for template in [
            "${DB_PASSWORD}",
            "{{ .Values.db.password }}",
            "$(cat /run/x1)",
            "$DB_PASSWORD_1",
            "%PASSWORD1%",
            "<your-password>",
            "a-${HOST}-1",
        ] {
            assert!(is_template(template.as_bytes()), "{template}");
        }
        for value in ["p{a]s5(x", "a{{b}c1", "5$x<y", "Tr0ub{4}&dor<3"] {
            assert!(!is_template(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn letters_thrown_by_chance_are_told_from_names() {
        assert!(random_letters(b"qXvBzKpRwTnLhYcJfGdSmVbN"));
        for name in ["getCustomerAccountTokenByName", "ALLCAPITALLETTERSINAROW", "allsmalllettersinarowhere"]
        {
            assert!(!random_letters(name.as_bytes()), "{name}");
        }
    }
}
