//! Detectors of personal data. A match is replaced by the placeholder of its kind.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::boundary::{alone, before, behind, is_word, stands_alone};
use super::checks::{base58check_version, digits, is_bech32, is_card, is_iban, may_be_card};
use super::detector::{Check, Detector, Finds, How, Kind, Scan};
use super::{address, phone};

const fn row(
    name: &'static str,
    about: &'static str,
    kind: Kind,
    trigger: &'static str,
    pattern: &'static str,
    check: Check,
) -> Detector {
    Detector { name, about, finds: Finds::Personal(kind), trigger, how: How::Pattern(pattern, check) }
}

const fn scan(
    name: &'static str,
    about: &'static str,
    kind: Kind,
    trigger: &'static str,
    pattern: &'static str,
    scan: Scan,
) -> Detector {
    Detector { name, about, finds: Finds::Personal(kind), trigger, how: How::Scan(pattern, scan) }
}

/// Order matters: if overlapping matches are equally long, the detector that comes first wins.
pub(super) const DETECTORS: &[Detector] = &[
    row(
        "email",
        "E-mail address",
        Kind::Email,
        "@",
        r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}(?:(?i:xn)--[A-Za-z0-9-]{0,58}[A-Za-z0-9]|[A-Za-z]{2,24})",
        email,
    ),
    row(
        "url-credentials",
        "User name and password in the URL of a page or a repository",
        Kind::UrlCredentials,
        "://",
        r"(?i)(?:https?|ftps?|sftp|ssh|git|wss?|smb|rtsp|socks5|proxy)(?:\+[a-z]{1,8})?://([A-Za-z0-9._~%+-]{1,64}:[A-Za-z0-9._~%!$&*+,;=#^()-]{1,128})@",
        |_, found| Some(found),
    ),
    row(
        "credit-card",
        "Payment card: issuer's prefix, length, check digit; without the prefix, or grouped differently, only next to a word such as card",
        Kind::CreditCard,
        "[0-9]{4}",
        r"[0-9](?:[ -]{0,1}[0-9]){11,18}",
        card,
    ),
    row(
        "iban",
        "IBAN: length for its country and remainder modulo 97",
        Kind::Iban,
        "(?i)[a-z]{2}[0-9]{2}",
        r"(?i)[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]){11,30}",
        iban,
    ),
    row(
        "us-ssn",
        "Social security number or ITIN of the United States; without hyphens only next to a word that names it",
        Kind::Ssn,
        "[0-9]{3}",
        r"[0-9]{3}[ .-]?[0-9]{2}[ .-]?[0-9]{4}",
        ssn,
    ),
    row(
        "bitcoin-address",
        "Address of Bitcoin, with its checksum",
        Kind::Crypto,
        r"\b(?:[13][a-km-zA-HJ-NP-Z0-9]{8}|bc1)",
        r"(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})",
        |text, found| {
            let found = alone(text, found)?;
            let address = &text[found.clone()];
            let valid = if address[0] == b'b' {
                is_bech32(address)
            } else {
                matches!(base58check_version(address), Some(0 | 5))
            };
            valid.then_some(found)
        },
    ),
    row(
        "ethereum-address",
        "Address of Ethereum, next to a word that names it",
        Kind::Crypto,
        "0x",
        r"(?i)(?:eth|ether|ethereum|wallet|crypto|usdt|usdc|erc-?20)[^\n]{0,40}?(0x[0-9a-f]{40})",
        alone,
    ),
    row(
        "date-of-birth",
        "A date after words such as born and birthday",
        Kind::DateOfBirth,
        "(?i)born|birth|dob",
        r"(?i)\b(?:date of birth|dateofbirth|birth[ _-]?da(?:te|y)|dob|d\.o\.b\.?|born)\b[^0-9\n]{0,24}?\b((?:[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{2,4}|[0-9]{1,2}(?:st|nd|rd|th)?(?: of)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?,? [0-9]{4}|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4}))",
        alone,
    ),
    row(
        "passport",
        "A passport number after the word",
        Kind::Passport,
        "(?i)pass(?:e?port|aporto)|pasaporte|reisepass|travel document",
        r"(?i)(?:pass(?:e?port|aporto)|pasaporte|reisepass|travel document)(?:[ _-]?(?:book|card))?s?[ _-]?(?:no|nr|num|number|numero|nummer|id)?s?\.?[\x22'*)]{0,3}(?:\s?\([a-z .]{1,24}\))?(?:,?\s{1,3}(?:with |has )?(?:the )?(?:number|no\.?|nr\.?|num\.?|#))?(?:\s{0,2}[:=#]|\s{1,3}(?:is|was|reads|of|es|est|ist|[a-z]{2,10} is)\b:?|,?\s)[\s:#\x22'*]{0,4}([a-z0-9]{7,10})",
        passport,
    ),
    row(
        "driver-license",
        "A driver's licence number after the words",
        Kind::DriverLicense,
        "(?i)licen[sc]e",
        r"(?i)driv(?:er|ing)(?:'?s|s')?[ _-]?licen[sc]e(?:[ _-]?(?:no|nr|num|number|id))?\.?[\x22']?(?: is|:|=|#| )[ :#\x22']{0,4}([a-z]{0,5}[0-9*][a-z0-9*-]{4,16})",
        |text, found| alone(text, found).filter(|found| digits(&text[found.clone()]).len() >= 4),
    ),
    row(
        "bank-account",
        "An account or routing number after the words",
        Kind::BankAccount,
        "(?i)account|acct|routing|sort",
        r"(?i)(?:(?:bank|checking|savings|giro)[ _-]?(?:account|acct)(?:[ _-]?(?:no|nr|num|number))?|(?:account|acct)[ _-]?(?:no|nr|num|number)|routing[ _-]?(?:no|num|number)|sort[ _-]?code)\.?[\x22']?(?: is|:|=|#| )[ :#\x22']{0,4}([0-9](?:[ -]?[0-9]){5,16})",
        alone,
    ),
    scan(
        "phone",
        "Telephone number: international, or in a grouping that only telephone numbers have; others next to a word such as phone or call me",
        Kind::Phone,
        r"[0-9]{2}[ ).-]|[0-9]{6}|\+[0-9]|\([0-9]",
        phone::WORDS_BEFORE,
        phone::find,
    ),
    row(
        "street-address",
        "Street with a number, in the orders of several countries, with unit, place and postcode",
        Kind::Address,
        address::STREET_TRIGGER,
        address::STREET,
        address::street,
    ),
    row(
        "address-with-unit",
        "Street with an apartment or a suite",
        Kind::Address,
        address::UNIT_TRIGGER,
        address::UNIT,
        address::trimmed,
    ),
    row(
        "address-by-words",
        "The text after words such as lives at, located at, address",
        Kind::Address,
        address::WORDS_TRIGGER,
        address::WORDS,
        address::behind_words,
    ),
    row(
        "address-sent-to",
        "The text after words such as sent to, if it contains more of an address than a name and a number",
        Kind::Address,
        address::WEAK_WORDS_TRIGGER,
        address::WEAK_WORDS,
        address::behind_words,
    ),
    row(
        "address-with-postcode",
        "A name with a number, then a place and a postcode, separated by commas or line breaks",
        Kind::Address,
        address::PLACED_TRIGGER,
        address::PLACED,
        address::street,
    ),
    row(
        "post-box",
        "Post office box, and the addresses of the armed forces of the United States",
        Kind::Address,
        address::BOX_TRIGGER,
        address::BOX,
        address::trimmed,
    ),
    row(
        "place-with-postcode",
        "Place, state and ZIP code of the United States; a postcode after the word",
        Kind::Address,
        address::POSTCODE_TRIGGER,
        address::POSTCODE,
        address::postcode,
    ),
    row(
        "street-corner",
        "The corner of two streets",
        Kind::Address,
        "corner of",
        address::CORNER,
        address::corner,
    ),
    row(
        "introduced-name",
        "A name after a title, or after phrases such as my name is",
        Kind::Name,
        r"(?i)\b(?:m(?:r|rs|s|x|iss)|dr|prof|name)\b",
        r"(?:\b(?:Mr|Mrs|Ms|Mx|Dr|Prof|Miss|mr|mrs|ms|dr)\b\.? |(?i:\bmy (?:full |first |last )?name is |\bname'?s? ?(?:is |: ?)))([A-Z][A-Za-z'-]{1,24}\b(?: [A-Z](?:\.|\b))?(?: (?:de |van |von |der |la )?[A-Z][A-Za-z'-]{1,24}\b){0,2})",
        alone,
    ),
    row(
        "ip-address",
        "IP address, version 4 or 6; not a version number",
        Kind::Ip,
        r"[0-9]\.[0-9]|[0-9a-fA-F]:[0-9a-fA-F:]|::",
        r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:%[0-9A-Za-z._-]{0,15}[0-9A-Za-z])?",
        ip,
    ),
    row(
        "url",
        "URL",
        Kind::Url,
        r"://|www\.",
        r"(?i)(?:https?://|www\.)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,6}(?::[0-9]{1,5})?(?:/[a-z0-9._~%!$&'()*+,;=:@/?#-]{0,400})?",
        |text, found| {
            let trailing =
                text[found.clone()].iter().rev().take_while(|byte| b".,;:!?')".contains(byte)).count();
            Some(found.start..found.end - trailing)
        },
    ),
];

/// Accepts an e-mail address. Rejects Git remotes (`git@host:path`), whose user is not a person, and the user part of
/// URLs.
fn email(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let mut found = found;
    let local = text[found.clone()].iter().position(|byte| *byte == b'@')?;
    let dots = text[found.clone()][..local].iter().take_while(|byte| b".'-%+".contains(byte)).count();
    found.start += dots;
    let remote = text[found.clone()].starts_with(b"git@") && behind(text, &found) == Some(b':');
    // The last label of a domain has letters only, or is in another script. If other characters continue it, the match
    // is not an e-mail address.
    let joined = text.get(found.end + 1).is_some_and(u8::is_ascii_alphanumeric);
    let goes_on =
        behind(text, &found).is_some_and(|byte| is_word(byte) || byte == b'@' || (byte == b'-' && joined));
    // File names of high-resolution images: `logo@2x.png`.
    let image = [&b".png"[..], b".jpg", b".svg", b".gif", b".webp"]
        .iter()
        .any(|end| text[found.clone()].ends_with(end));
    // The match must not start inside a word: the end of a Git remote would look like an e-mail address.
    let whole = !before(text, &found).is_some_and(|byte| byte.is_ascii_alphanumeric());
    let lead = &text[found.start.saturating_sub(WORDS_BEFORE_BYTES)..found.start];
    let user = lead.rsplit(|byte| byte.is_ascii_whitespace()).next().is_some_and(|word| {
        word.windows(3).rposition(|mark| mark == b"://").is_some_and(|at| !word[at + 3..].contains(&b'/'))
    });
    (whole && !user && dots < local && !remote && !goes_on && !image).then_some(found)
}

/// Accepts a passport number: letters and digits, with at least four digits.
fn passport(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    alone(text, found).filter(|found| digits(&text[found.clone()]).len() >= PASSPORT_DIGITS_MIN)
}

/// Minimum number of digits in a passport number: letters alone are a word.
const PASSPORT_DIGITS_MIN: usize = 4;

/// Number of bytes before a number that are searched for words that describe it.
const WORDS_BEFORE_BYTES: usize = 64;

/// Whether one of these words, in lower case, occurs shortly before the match. `social security`, `social_security`,
/// `social-security` and `socialSecurity` are equivalent.
fn said_before(text: &[u8], found: &Range<usize>, words: &[&str]) -> bool {
    let lead = &text[found.start.saturating_sub(WORDS_BEFORE_BYTES)..found.start];
    if !lead.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    let mut plain = Vec::with_capacity(lead.len() + 8);
    let mut small = false;
    for byte in lead {
        if small && byte.is_ascii_uppercase() {
            plain.push(b' ');
        }
        small = byte.is_ascii_lowercase();
        plain.push(if matches!(byte, b'_' | b'-') { b' ' } else { byte.to_ascii_lowercase() });
    }
    let starts = |word: &str| {
        let word = word.as_bytes();
        plain
            .windows(word.len())
            .enumerate()
            .any(|(at, part)| part == word && stands_alone(&plain, &(at..at + word.len())))
    };
    words.iter().any(|word| starts(word))
}

/// Words after which a number with a valid check digit is a card number.
const CARD_WORDS: [&str; 11] =
    ["card", "cards", "cc", "visa", "mastercard", "amex", "maestro", "pan", "payment", "credit", "debit"];

fn card(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let inside = |byte: u8| is_word(byte) || byte == b'.';
    if before(text, &found).is_some_and(|byte| is_word(byte) || b".-".contains(&byte)) {
        return None;
    }
    let ends = |part: &Range<usize>| {
        !behind(text, part).is_some_and(|byte| {
            inside(byte) && (byte != b'.' || text.get(part.end + 1).is_some_and(u8::is_ascii_digit))
        })
    };
    // Trailing groups of digits that belong to something else are dropped one by one.
    let mut end = found.end;
    while end > found.start + 11 {
        let part = found.start..end;
        let number = if ends(&part) { digits(&text[part.clone()]) } else { Vec::new() };
        if may_be_card(&number) {
            let said = || said_before(text, &part, &CARD_WORDS);
            let issued = number.len() >= 14 && is_card(&number) && grouped_as_on_a_card(&text[part.clone()]);
            return (issued || said()).then_some(part);
        }
        end -= 1 + text[part].iter().rev().skip(1).take_while(|byte| !byte.is_ascii_digit()).count();
    }
    None
}

/// Whether the digits are ungrouped, in groups of four, or grouped as on cards of American Express and Diners Club.
fn grouped_as_on_a_card(number: &[u8]) -> bool {
    let groups: Vec<usize> = number.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).collect();
    let fours =
        groups.split_last().is_some_and(|(last, fours)| *last <= 4 && fours.iter().all(|len| *len == 4));
    groups.len() == 1 || fours || groups == [4, 6, 5] || groups == [4, 6, 4]
}

fn iban(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    if before(text, &found).is_some_and(is_word) {
        return None;
    }
    // Drops words after the number that the pattern included.
    let mut end = found.end;
    while end > found.start + 14 {
        let part = found.start..end;
        let compact: Vec<u8> = text[part.clone()]
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_uppercase)
            .collect();
        if !behind(text, &part).is_some_and(is_word) && is_iban(&compact) {
            return Some(part);
        }
        end -= 1;
    }
    None
}

/// Words after which nine digits are a social security or taxpayer number.
const SSN_WORDS: [&str; 10] =
    ["ssn", "ssns", "ss#", "ss #", "ss no", "social", "social security", "itin", "tin", "taxpayer"];

fn ssn(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let inside = |byte: u8| is_word(byte) || b".-/".contains(&byte);
    let goes_on = behind(text, &found).is_some_and(|byte| is_word(byte) || byte == b'-')
        || text[found.end..]
            .windows(2)
            .next()
            .is_some_and(|pair| pair[0] == b'.' && pair[1].is_ascii_digit());
    if before(text, &found).is_some_and(inside) || goes_on {
        return None;
    }
    let hyphens = text[found.clone()].iter().filter(|byte| **byte == b'-').count() == 2;
    if !hyphens && !said_before(text, &found, &SSN_WORDS) {
        return None;
    }
    let number = digits(&text[found.clone()]);
    let value = |part: &[u8]| part.iter().fold(0_u32, |value, digit| value * 10 + u32::from(*digit));
    let (area, group, serial) = (value(&number[..3]), value(&number[3..5]), value(&number[5..]));
    // Numbers with an area from 900 on are taxpayer numbers, whose group is 50 or above.
    let issued = area != 0 && area != 666 && group != 0 && serial != 0 && (area < 900 || group >= 50);
    issued.then_some(found)
}

fn ip(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let word = std::str::from_utf8(&text[found.clone()]).ok()?;
    let version = said_before(text, &found, &["v", "version", "versions", "release", "chrome", "build"]);
    let joined = |byte: u8| is_word(byte) || b".:".contains(&byte);
    let goes_on = behind(text, &found).is_some_and(is_word)
        || text[found.end..]
            .windows(2)
            .next()
            .is_some_and(|pair| b".".contains(&pair[0]) && pair[1].is_ascii_digit());
    // Drop the interface name (`%eth0`) of a link-local address.
    let word = word.split('%').next().unwrap_or(word);
    let four = word.parse::<Ipv4Addr>().is_ok();
    // `::` alone is not an address, because it is an operator in many languages.
    let six =
        word.len() > 5 && word.parse::<Ipv6Addr>().is_ok() && word.bytes().any(|byte| byte.is_ascii_digit());
    (!before(text, &found).is_some_and(joined) && !goes_on && ((four && !version) || six)).then_some(found)
}
