//! Style features of a text that can be computed before any query is known.

use crate::words::words;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Words that express a time, besides months.
const TIME_WORDS: [&str; 29] = [
    "ago",
    "day",
    "days",
    "evening",
    "friday",
    "last",
    "monday",
    "month",
    "months",
    "morning",
    "next",
    "night",
    "recently",
    "saturday",
    "since",
    "soon",
    "sunday",
    "thursday",
    "today",
    "tomorrow",
    "tonight",
    "tuesday",
    "wednesday",
    "week",
    "weekend",
    "weeks",
    "year",
    "years",
    "yesterday",
];
/// Words that express a number.
const NUMBER_WORDS: [&str; 16] = [
    "couple", "dozen", "eight", "few", "five", "four", "nine", "once", "one", "several", "seven", "six",
    "ten", "three", "twice", "two",
];
/// Upper bound of the counts in [`TextStyle`].
const COUNTED_MAX: u8 = 3;

/// Style features of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextStyle {
    /// It ends with a question.
    pub question: bool,
    /// It has a word or digits that express a time.
    pub time_word: bool,
    /// It has a word or digits that express a number.
    pub number: bool,
    /// It has a double quotation mark.
    pub quote: bool,
    /// Capitalised words inside sentences, counted up to 3.
    pub capitals: u8,
    /// Exclamation marks, counted up to 3.
    pub exclaims: u8,
}

impl TextStyle {
    /// Computes the features of a text.
    pub fn of(text: &str) -> TextStyle {
        let mut voice = TextStyle {
            question: is_question(text),
            quote: text.contains('"'),
            capitals: capitals(text),
            exclaims: counted(text.bytes().filter(|byte| *byte == b'!').count()),
            ..TextStyle::default()
        };
        words(text, |word| {
            let figures = word.is_ascii() && word.bytes().any(|byte| byte.is_ascii_digit());
            voice.time_word |= figures || MONTHS.contains(&word) || TIME_WORDS.contains(&word);
            voice.number |= figures || NUMBER_WORDS.contains(&word);
        });
        voice
    }
}

/// Number of a month, from 1, by its lower-case English name.
pub fn month(word: &str) -> Option<i8> {
    (1..).zip(MONTHS).find(|(_, name)| *name == word).map(|(number, _)| number)
}

fn counted(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX).min(COUNTED_MAX)
}

/// Whether a text ends with a question mark. A note in square brackets after it is ignored.
pub fn is_question(text: &str) -> bool {
    let text = text.trim_end();
    let said = match (text.ends_with(']'), text.rfind('[')) {
        (true, Some(note)) => text[..note].trim_end(),
        _ => text,
    };
    said.ends_with('?')
}

/// Counts capitalised words that do not start a sentence, up to 3.
fn capitals(text: &str) -> u8 {
    let inside = |four: &[u8]| {
        (matches!(four[0], b',' | b';') || four[0].is_ascii_lowercase())
            && four[1] == b' '
            && four[2].is_ascii_uppercase()
            && four[3].is_ascii_lowercase()
    };
    counted(text.as_bytes().windows(4).filter(|four| inside(four)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_statements() {
        assert!(is_question("Where? ") && is_question("Is it? [shared: a photo of a cat]"));
        assert!(!is_question("Where? There.") && !is_question("") && !is_question("[?]"));
    }

    #[test]
    fn a_text_says_when_how_many_and_who() {
        let voice =
            TextStyle::of("We met, Ana and Ben, on Monday: \"two\" cats! At 5 with Cleo, Dan and Eve!!!");
        let expected = TextStyle {
            question: false,
            time_word: true,
            number: true,
            quote: true,
            capitals: 3,
            exclaims: 3,
        };
        assert_eq!(voice, expected);
        assert_eq!(TextStyle::of("Nothing here"), TextStyle::default());
        assert!(TextStyle::of("in may").time_word && !TextStyle::of("maybe").time_word);
    }

    #[test]
    fn months_have_numbers() {
        assert_eq!((month("january"), month("december"), month("jan")), (Some(1), Some(12), None));
    }
}
