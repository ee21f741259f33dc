//! Detects postal addresses. Nothing marks where an address starts and ends, so each pattern needs an anchor: a street
//! word next to a number, a unit, a post box, a state with its ZIP code, or words such as "lives at". The parts that
//! can follow the anchor are included in the match: unit, place, region, postcode.

use std::ops::Range;

use super::boundary::{behind, is_word, stands_alone};

/// A capitalised word, or an abbreviation with a full stop.
macro_rules! word {
    () => {
        r"(?:[A-Z][a-z]{0,3}\.|[A-Z][A-Za-z'/&-]{0,30}\b)"
    };
}
/// Lower-case words inside the names of streets and places.
macro_rules! small {
    () => {
        r"(?:a|al|al\.|am|an|au|aux|avenida|avenue|calle|cesta|d'|da|das|de|degli|dei|del|della|delle|dem|den|der|des|di|do|dos|du|e|el|i|im|in|la|las|le|les|los|na|nad|o|ob|of|os\.|pl\.|place|pod|praca|pri|rakpart|rua|rue|saint|st\.|strada|sur|ter|the|u|ul\.|ulica|ut|utca|utja|v|van|vei|vej|via|von|y|zum|zur)"
    };
}
/// The number of a building.
macro_rules! house {
    () => {
        r"[0-9]{1,5}(?:[A-Za-z]\b|/[0-9]{1,3}|-[0-9]{1,4})?\b"
    };
}
/// A part of a street name: word, lower-case word or number.
macro_rules! part {
    () => {
        concat!("(?:", word!(), "|", small!(), r"(?:\b|[ ])|", house!(), r"\.?)")
    };
}
/// Separator between the lines of an address, including the `>` before quoted lines of e-mails.
macro_rules! gap {
    () => {
        r"(?: ?,? ?\n[ \t>?}|]{0,8},? ?|,? {1,4}|,)"
    };
}
/// The same separator without a single space, for positions where a space would let the match run on into the sentence.
macro_rules! firm_gap {
    () => {
        r"(?: ?,? ?\n[ \t>?}|]{0,8},? ?|, ?)"
    };
}
/// An apartment or suite.
macro_rules! unit {
    () => {
        r"(?:[Aa]pt|APT|[Aa]partment|[Ss]uite|SUITE|Ste|Unit|Flat|Room)\b\.? ?#?[0-9][0-9A-Za-z-]{0,5}\b"
    };
}
/// A place, region or country.
macro_rules! place {
    () => {
        concat!(
            r"[A-Z][A-Za-z'/-]{0,30}\b\.?(?: (?:[A-Z(][A-Za-z'()/-]{0,30}\.?|",
            small!(),
            r"\b|[0-9]{1,2}\b)){0,4}"
        )
    };
}
/// A postcode: digits as in most countries, or the formats of the United Kingdom, Canada and the Netherlands.
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
/// Country and postcode after an empty line.
macro_rules! country_line {
    () => {
        concat!(r"(?: ?\n[ >?}|]{0,8}\n[ \t>?}|]{0,8}(?:", word!(), " ){1,4}", postcode!(), ")?")
    };
}
/// The parts after the street, in an address that is separate from the sentence.
macro_rules! tail {
    () => {
        concat!("(?:", gap!(), place!(), "){0,3}(?:", gap!(), postcode!(), ")?", country_line!())
    };
}
/// The parts after the street, in an address inside a sentence.
macro_rules! some_tail {
    () => {
        concat!(
            "(?:",
            gap!(),
            unit!(),
            tail!(),
            "|(?:",
            firm_gap!(),
            place!(),
            "){1,3}(?:",
            gap!(),
            postcode!(),
            ")?",
            country_line!(),
            "|",
            gap!(),
            "(?:",
            word!(),
            " ){1,3}",
            state!(),
            r"\b(?: ",
            postcode!(),
            ")?|",
            firm_gap!(),
            "[0-9]{4,5} ",
            place!(),
            "|",
            gap!(),
            postcode!(),
            ")",
        )
    };
}
/// Street words that follow the street's name, as in `Long Street`.
macro_rules! suffix {
    () => {
        r"(?i:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|terrace|parkway|pkwy|highway|hwy|circle|crescent|square|sq|trail|alley|turnpike|freeway|expressway|causeway|plaza|esplanade|close|grove|mews|row|walk|way|place|quay|crossroad|junctions?|streets|avenues|roads|lanes|drives|courts|squares)"
    };
}
/// Street words that precede the street's name, as in `rue Longue`.
macro_rules! prefix {
    () => {
        r"(?:Rue|rue|Avenue|avenue|Avenida|Av\.|Avda\.|Calle|C/|Via|Viale|Vicolo|Piazza|Corso|Cours|Rua|R\.|Plaza|Paseo|Travessa|Carrer|ul\.|Ul\.|Ulica|al\.|os\.|pl\.|Boulevard|boulevard|Chemin|Route|Allee|Impasse|Quai|Strada|Str\.|Jalan)"
    };
}
/// Endings of street names in Germanic and Nordic languages, which are followed by the number.
macro_rules! ending {
    () => {
        r"(?:[Ss]tras{1,2}e|[Ss]trase|[Ss]tr\.|[Gg]asse|[Pp]latz|[Aa]llee|[Cc]haussee|damm|ufer|weg|straat|laan|gracht|plein|dijk|kade|gatan|gata|vagen|veien|vegen|vej|vei|gade|katu|kuja|tie|stigur|torget)"
    };
}
/// A street with a number after or before it, or a name and a number without a street word.
macro_rules! named_and_numbered {
    () => {
        concat!(
            "(?:",
            house!(),
            "(?: ",
            part!(),
            "){1,6}|(?:",
            part!(),
            " ){1,5}",
            house!(),
            r"\.?(?: ",
            part!(),
            "){0,3})"
        )
    };
}

pub(super) const STREET_TRIGGER: &str =
    concat!(r"[A-Za-z'.] ", suffix!(), r"\b|", ending!(), r" [0-9]|", prefix!(), " ");
#[rustfmt::skip]
pub(super) const STREET: &str = concat!(
    r"\b(?:",
    // 12 Long Street; 12 34 Long Street
    house!(), "(?: ", part!(), r"){0,4} [A-Z][A-Za-z'.-]{0,30} ", suffix!(), r"\b\.?|",
    // Lange Straße 12; Langestraat 12
    "(?:", house!(), " )?(?:(?:", word!(), "|", small!(), r"\b) ){0,3}[A-Z][A-Za-z-]{2,30}", ending!(), " ", house!(), "|",
    "(?:", house!(), " )?(?:", word!(), " ){1,3}", ending!(), " ", house!(), "|",
    // 12 rue Longue; Rue Longue 12
    house!(), " ", prefix!(), "(?: ", part!(), "){1,6}|",
    prefix!(), " (?:", part!(), " ){1,5}", house!(), ")",
    some_tail!(), "?",
);

pub(super) const UNIT_TRIGGER: &str = unit!();
#[rustfmt::skip]
pub(super) const UNIT: &str = concat!(
    r"\b(?:(?:",
    // 12 Long Hill, Apt. 3
    house!(), "(?: ", house!(), ")?(?: (?:", part!(), "|[a-z]{2,14})){1,8}|",
    // Long Hill 12, Apt. 3
    "(?:", word!(), " (?:", small!(), r"\b ){0,2}){1,4}", house!(), r"\.?(?: ", part!(), "){0,5})", gap!(), unit!(), "|",
    // Apt. 3, 12 Long Hill
    unit!(), ",? ", house!(), "(?: ", part!(), "){1,6})",
    tail!(),
);

pub(super) const WORDS_TRIGGER: &str =
    r"(?i)address|lived? |lives |living|located|reside|meet|office|home is|house is";
#[rustfmt::skip]
pub(super) const WORDS: &str = concat!(
    r"(?:(?i:\b(?:lived?s? (?:at|in)|living (?:at|in)|now live in|located at|resid(?:e|es|ing) (?:at|in)|meet (?:me|us|you|him|her) at|(?:office|offices|home|house) (?:is|are) (?:at|in)|(?:billing|home|postal|mailing|shipping|delivery|street|residential) address(?:es)?(?: is| with| to)?|(?:my|his|her|their|our|your)(?: new| old)? address(?: is| to)?):?)\s{1,6})",
    "((?:(?i:the )?[Cc]orner of )?(?:", word!(), " and )?", named_and_numbered!(), some_tail!(), "?)",
);

pub(super) const WEAK_WORDS_TRIGGER: &str = r"(?i)address|one to|sent |send |return|come to|moved|deliver|ship|taxi|back to|off at|arrived|it.s in|following";
#[rustfmt::skip]
pub(super) const WEAK_WORDS: &str = concat!(
    r"(?:(?i:\b(?:address(?:es)?(?:,? [a-z']{1,12}){0,6}[:?]?|one to|(?:sent|send it|return|come|moved|deliver(?:ed)?|ship(?:ped)?|taxi|back) to|off at|arrived at|it's in|following\?))\s{1,6})",
    "((?:", word!(), " and )?(?:", house!(), "(?: ", part!(), "){1,6}", some_tail!(), "|", house!(), "(?: ", part!(), "){1,5} ", house!(), r"\.?",
    "|(?:", word!(), "|", small!(), r"\b)(?: ", part!(), "){0,5} ", house!(), r"\.?", some_tail!(), "))",
);

pub(super) const BOX_TRIGGER: &str = r"(?i)\bbox [0-9]|[ADF]PO ";
#[rustfmt::skip]
pub(super) const BOX: &str = concat!(
    r"(?:(?:PSC [0-9]{1,5},? Box|Unit [0-9]{1,5},? Box|CMR [0-9]{1,5},? Box) [0-9]{1,6}", gap!(), r"[ADF]PO A[AEP] [0-9]{5}(?:-[0-9]{4})?|",
    r"US[A-Z]{1,3} [A-Z][A-Za-z'-]{1,30}", gap!(), r"FPO A[AEP] [0-9]{5}|",
    r"(?:\b[0-9]{1,5} )?\b(?i:p\. ?o\.|po|post office) ?(?i:box) [0-9]{1,6}\b(?: ", word!(), "){0,3}", some_tail!(), "?)",
);

pub(super) const POSTCODE_TRIGGER: &str =
    concat!("(?i)zip|postcode|postal|post code|(?-i:", state!(), r",? [0-9]{5}\b)");
#[rustfmt::skip]
pub(super) const POSTCODE: &str = concat!(
    r"(?:\b(?i:zip|postal|post) ?(?i:code)?[\x22']?(?i: is|:|=)[ \x22']{1,4}(", postcode!(), r"|[0-9]{3}\b)|",
    r"\b(?:[A-Z][A-Za-z'.-]{1,30} ){0,2}[A-Z][A-Za-z'.-]{1,30},? ", state!(), r",? [0-9]{5}(?:-[0-9]{4})?\b)",
);

pub(super) const PLACED_TRIGGER: &str = r"[A-Za-z.)] [0-9]{4,6}|\n[ >]{0,4}[0-9]{4,6}";
#[rustfmt::skip]
pub(super) const PLACED: &str = concat!(
    r"\b", house!(), "(?: ", house!(), ")?(?: ", part!(), "){1,5}(?:", firm_gap!(), place!(), "){1,3}", gap!(), r"[0-9]{5,6}(?:-[0-9]{4})?\b",
);

pub(super) const CORNER: &str =
    concat!(r"\b[Cc]orner of ((?:", part!(), " ){1,6}and(?: ", part!(), "){1,6})");

/// Accepts a match if it is a street. Returns its range without the words that belong to the sentence.
pub(super) fn street(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let found = trimmed(text, found)?;
    let joined = found.start > 0 && b".-/:#$".contains(&text[found.start - 1]);
    (!joined && !begins_as_date(&text[found.clone()])).then_some(found)
}

/// Removes a label that follows, such as `Phone` in `Phone: …`, and punctuation at the end.
pub(super) fn trimmed(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let whole = found.clone();
    let mut found = found;
    if behind(text, &found) == Some(b':') {
        let line = text[found.clone()].iter().rposition(|byte| b"\n,".contains(byte))?;
        found.end = found.start + line;
    }
    // If the match ends inside a word, drop the part of that word.
    while behind(text, &found).is_some_and(is_word) && found.end > found.start && is_word(text[found.end - 1])
    {
        found.end -= 1;
    }
    while found.end > found.start && b" ,\n\t>?}|".contains(&text[found.end - 1]) {
        found.end -= 1;
    }
    // If the dropped part was the only number (such as the start of a longer number), the match is not an address.
    let counted = |part: &Range<usize>| text[part.clone()].iter().any(u8::is_ascii_digit);
    let lost = counted(&whole) && !counted(&found);
    (!lost && stands_alone(text, &found)).then_some(found)
}

/// Accepts the text after a phrase such as "lives at" if the text has a number and a name and is not a date or time.
pub(super) fn behind_words(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let found = trimmed(text, found)?;
    let part = &text[found.clone()];
    let named = part
        .split(|byte| !byte.is_ascii_alphabetic())
        .any(|word| word.len() > 2 && word[0].is_ascii_uppercase());
    let counted = part.iter().any(u8::is_ascii_digit);
    (named && counted && !begins_as_date(part)).then_some(found)
}

/// Accepts a postcode, or a place with a postcode.
pub(super) fn postcode(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    trimmed(text, found)
}

/// Accepts a street corner, but not the corner of a page or a table: one of the names must contain a street word or a
/// number.
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

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];

/// Whether the text starts like a date or time: `3 May …`, `May 3 …`, `2024-…`, `5 PM`.
fn begins_as_date(part: &[u8]) -> bool {
    let mut words = part.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let is_month = |word: &[u8]| {
        let month =
            |month: &&[u8]| word.eq_ignore_ascii_case(&month[..3]) || word.eq_ignore_ascii_case(month);
        MONTHS.iter().any(month)
    };
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let hour = second.eq_ignore_ascii_case(b"am") || second.eq_ignore_ascii_case(b"pm");
    is_month(first) && second.iter().all(u8::is_ascii_digit)
        || first.iter().all(u8::is_ascii_digit) && (is_month(second) || hour)
}
