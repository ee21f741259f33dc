//! Postal addresses. Nothing marks where one begins and ends, so each pattern needs an anchor: a word for a street beside
//! a number, a unit, a post box, a state with its ZIP code, or words such as "lives at". From there on, what can
//! follow is taken along: unit, place, region, postcode.

use std::ops::Range;

use super::detector::{behind, is_word, stands_alone};

/// A capitalised word, or an abbreviation with its point.
macro_rules! word {
    () => {
        r"(?:[A-Z][a-z]{0,3}\.|[A-Z][A-Za-z'/&-]{0,30}\b)"
    };
}
/// Small words inside of names of streets and places.
macro_rules! small {
    () => {
        r"(?:de|del|della|dell'|di|da|do|dos|das|du|des|van|von|der|den|dem|la|le|les|el|los|las|of|the|na|pod|pri|nad|ob|u|v|y|e|i|af|til|am|an|im|in|zum|zur|rue|avenue|via|calle|place|ul\.|al\.|os\.|pl\.|rakpart|utca|ter)"
    };
}
/// The number of a building.
macro_rules! house {
    () => {
        r"[0-9]{1,5}(?:[A-Za-z]\b|/[0-9]{1,3}|-[0-9]{1,4})?"
    };
}
/// A part of the name of a street: word, small word or number.
macro_rules! part {
    () => {
        concat!("(?:", word!(), "|", small!(), r"\b|", house!(), r"\b\.?)")
    };
}
/// What stands between the lines of an address, also of one that is quoted in a mail.
macro_rules! gap {
    () => {
        r"(?: ?,? ?\n[ \t>?}|]{0,8},? ?|,? {1,4}|,)"
    };
}
/// The same where a space alone would take words along that belong to the sentence.
macro_rules! firm_gap {
    () => {
        r"(?: ?,? ?\n[ \t>?}|]{0,8},? ?|, ?)"
    };
}
/// An apartment, a suite.
macro_rules! unit {
    () => {
        r"(?:[Aa]pt|APT|[Aa]partment|[Ss]uite|SUITE|[Ss]te|Unit|Flat|Room)\b\.? ?#?[0-9][0-9A-Za-z-]{0,5}\b"
    };
}
/// A place, a region or a country.
macro_rules! place {
    () => {
        concat!(
            r"[A-Z][A-Za-z'/-]{0,30}\b\.?(?: (?:[A-Z(][A-Za-z'()/-]{0,30}\.?|",
            small!(),
            r"|[0-9]{1,2}\b)){0,4}"
        )
    };
}
/// A postcode: digits as in most countries, and the forms of the United Kingdom and Canada.
macro_rules! postcode {
    () => {
        r"(?:[0-9]{4,6}(?:-[0-9]{3,4})?\b|[0-9]{3} [0-9]{2}\b|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\b|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]\b|[0-9]{4} [A-Z]{2}\b)"
    };
}
macro_rules! state {
    () => {
        r"(?:A[AEKLPRZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|UT|V[AIT]|W[AIVY])"
    };
}
/// What follows a street in an address that is set off from the sentence.
macro_rules! tail {
    () => {
        concat!("(?:", gap!(), "(?:", place!(), ")){0,3}(?:", gap!(), postcode!(), ")?")
    };
}
/// What follows a street inside of a sentence.
macro_rules! firm_tail {
    () => {
        concat!(
            "(?:",
            gap!(),
            unit!(),
            ")?(?:(?:",
            firm_gap!(),
            "(?:",
            place!(),
            ")){1,3}(?:",
            gap!(),
            postcode!(),
            ")?|",
            gap!(),
            "(?:",
            word!(),
            " ){1,3}",
            state!(),
            r"\b(?: ",
            postcode!(),
            ")?|",
            gap!(),
            postcode!(),
            ")?"
        )
    };
}
/// Words for a street that stand behind its name and hardly ever mean something else between a number and a full stop.
macro_rules! suffix {
    () => {
        r"(?i:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|terrace|parkway|pkwy|highway|hwy|circle|crescent|square|sq|trail|alley|turnpike|freeway|expressway|causeway|plaza|esplanade|close|grove|mews|row|walk|way|place|quay|crossroad|junctions?|streets|avenues|roads|lanes|drives|courts|squares)"
    };
}
/// Words for a street that stand before its name.
macro_rules! prefix {
    () => {
        r"(?:Rue|rue|Avenue|avenue|Avenida|Av\.|Avda\.|Calle|C/|Via|Viale|Vicolo|Piazza|Corso|Rua|R\.|Plaza|Paseo|Travessa|Carrer|ul\.|Ul\.|Ulica|al\.|os\.|pl\.|Boulevard|boulevard|Chemin|Route|Allee|Impasse|Quai|Strada|Str\.|Jalan|Langenhorner Chaussee)"
    };
}
/// Ends of the names of streets in the Germanic and Nordic languages, which are followed by the number.
macro_rules! ending {
    () => {
        r"(?:[Ss]tras{1,2}e|[Ss]trase|[Ss]tr\.|gasse|[Pp]latz|allee|[Cc]haussee|damm|ufer|straat|laan|gracht|plein|dijk|kade|gatan|vagen|vag|veien|vegen|gata|vej|gade|katu|kuja|stien|torget)"
    };
}

pub(super) const STREET_TRIGGER: &str =
    concat!(r"[0-9][ A-Za-z].{0,60}\b", suffix!(), r"\b|", ending!(), r" [0-9]|", prefix!(), " ");
pub(super) const STREET: &str = concat!(
    r"\b(?:",
    // 12 Long Street; 12 34 Long Street
    house!(),
    r"(?: ",
    part!(),
    r"){0,4} ",
    r"(?:[A-Z][A-Za-z'.-]{0,30} )",
    suffix!(),
    r"\b\.?|",
    // Lange Straße 12; Langestraat 12
    "(?:",
    house!(),
    " )?(?:",
    word!(),
    " ){0,2}[A-Z][A-Za-z-]{0,30}",
    ending!(),
    " ",
    house!(),
    r"\b|",
    "(?:",
    house!(),
    " )?(?:",
    word!(),
    " ){1,2}",
    ending!(),
    " ",
    house!(),
    r"\b|",
    // Rue Longue 12; 12 rue Longue
    house!(),
    " ",
    prefix!(),
    "(?: ",
    part!(),
    "){1,5}|",
    prefix!(),
    " (?:",
    part!(),
    " ){1,5}",
    house!(),
    r"\b)",
    firm_tail!(),
);

pub(super) const UNIT_TRIGGER: &str = unit!();
pub(super) const UNIT: &str = concat!(
    r"\b(?:",
    house!(),
    r"|[A-Z][A-Za-z'/&.-]{0,30})(?: ",
    part!(),
    "){0,8}",
    gap!(),
    unit!(),
    tail!(),
);

pub(super) const WORDS_TRIGGER: &str = r"(?i)address|lives? |living |living|located|reside|meet|sent|return|deliver|ship|moved|taxi|drops? |arrived|office|restaurant|it's in|it is";
pub(super) const WORDS: &str = concat!(
    r"(?:(?i:\b(?:lived?s? (?:at|in)|living (?:at|in)|now live in|located at|resid(?:e|es|ing) (?:at|in)|meet (?:me|us|you) at|be sent to|sent to|return to|deliver(?:ed)? to|ship(?:ped)? to|taxi to|drops? you off at|office is at|restaurant is at|moved to|arrived at|it's in|it is|new one to|(?:billing|home|postal|mailing|shipping|delivery|work|new|secondary|the|my|his|her|their|our|your) address(?:es)?(?: is| with| to| to the same)?|address(?:es)?(?: linked to my credit card)?(?: is| to| with| of [^\n]{1,40} is)?|addresses, here they are|address_line_?1?|following\?|street(?:_address)?):?)\s{1,6})",
    "((?:",
    house!(),
    " |",
    word!(),
    " and |(?i:the )?[Cc]orner of )?(?:",
    part!(),
    " ){0,5}(?:",
    house!(),
    "|",
    word!(),
    r")",
    firm_tail!(),
    ")",
);

pub(super) const BOX_TRIGGER: &str = r"(?i)\bbox [0-9]|[ADF]PO ";
pub(super) const BOX: &str = concat!(
    r"(?:(?:PSC [0-9]{1,5},? Box|Unit [0-9]{1,5},? Box|CMR [0-9]{1,5},? Box) [0-9]{1,6}",
    gap!(),
    r"[ADF]PO A[AEP] [0-9]{5}(?:-[0-9]{4})?|",
    r"US[A-Z]{1,3} [A-Z][A-Za-z'-]{1,30}",
    gap!(),
    r"FPO A[AEP] [0-9]{5}|",
    r"(?:\b[0-9]{1,5} )?\b(?i:p\. ?o\.|po|post office) ?(?i:box) [0-9]{1,6}\b(?:",
    gap!(),
    unit!(),
    ")?(?:",
    firm_gap!(),
    "(?:",
    place!(),
    ")){0,3}(?:",
    gap!(),
    postcode!(),
    ")?)",
);

pub(super) const POSTCODE_TRIGGER: &str =
    concat!("(?i)zip|postcode|postal|post code|(?-i:", state!(), ",? [0-9]{5})");
pub(super) const POSTCODE: &str = concat!(
    r"(?:\b(?i:zip|postal|post) ?(?i:code)?[\x22']?(?i: is|:|=)[ \x22']{1,4}(",
    postcode!(),
    r"|[0-9]{3}\b)|\b(?:[A-Z][A-Za-z'.-]{1,30} ){0,2}[A-Z][A-Za-z'.-]{1,30},? ",
    state!(),
    ",? [0-9]{5}(?:-[0-9]{4})?",
    ")",
);

pub(super) const CORNER: &str =
    concat!(r"\b[Cc]orner of ((?:", part!(), " ){1,6}and(?: ", part!(), "){1,6})",);

/// Takes a street when it is one, and gives back what belongs to the sentence.
pub(super) fn street(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let found = trimmed(text, found)?;
    let joined = found.start > 0 && b".-/:#$".contains(&text[found.start - 1]);
    (!joined && !begins_as_date(&text[found.clone()])).then_some(found)
}

/// Gives back a label that follows, such as the `Phone` of `Phone: …`, and marks at the end.
pub(super) fn trimmed(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let mut found = found;
    if behind(text, &found) == Some(b':') {
        let line = text[found.clone()].iter().rposition(|byte| b"\n,".contains(byte))?;
        found.end = found.start + line;
    }
    while found.end > found.start && b" ,\n\t>?}|".contains(&text[found.end - 1]) {
        found.end -= 1;
    }
    let before = found.start.checked_sub(1).map(|at| text[at]);
    (!before.is_some_and(is_word) && stands_alone(text, &found)).then_some(found)
}

/// What stands behind words is an address if it has a number and a name, and is no date or time.
pub(super) fn behind_words(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let found = trimmed(text, found)?;
    let part = &text[found.clone()];
    let named = part
        .split(|byte| !byte.is_ascii_alphabetic())
        .any(|word| word.len() > 2 && word[0].is_ascii_uppercase());
    let counted = part.iter().any(u8::is_ascii_digit);
    (named && counted && !begins_as_date(part)).then_some(found)
}

/// A postcode, or a place with one.
pub(super) fn postcode(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    trimmed(text, found)
}

/// The corner of streets, not of a page or a table: one of them is named as a street or has a number.
pub(super) fn corner(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let words =
        text[found.clone()].split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let (mut capital, mut any) = (0, 0);
    words.for_each(|word| {
        any += 1;
        capital += usize::from(word[0].is_ascii_uppercase() || word[0].is_ascii_digit());
    });
    (capital >= 2 && capital + 3 >= any).then(|| trimmed(text, found))?
}

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// `3 May …`, `May 3 …`, `2024-…`, `5 PM`.
fn begins_as_date(part: &[u8]) -> bool {
    let mut words = part.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let is_month = |word: &[u8]| {
        word.get(..3).is_some_and(|start| MONTHS.iter().any(|month| start.eq_ignore_ascii_case(month)))
    };
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let hour = second.eq_ignore_ascii_case(b"am") || second.eq_ignore_ascii_case(b"pm");
    is_month(first) && second.iter().all(u8::is_ascii_digit)
        || first.iter().all(u8::is_ascii_digit) && (is_month(second) && second.len() <= 9 || hour)
}
