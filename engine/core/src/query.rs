//! Turns user input into a full-text query. No part of the input is taken as an operator, because terms are quoted and
//! consist of letters and digits only.

use crate::words::terms::{Terms, is_joined};
use crate::words::words;

/// A query for SQLite's FTS5 that finds memories in which every word of `text` occurs. `None` if the text has no
/// letters and no digits.
///
/// A word with punctuation inside, such as `node-7` or `C:\temp`, becomes a phrase of adjacent parts.
pub fn full_text(terms: &Terms, text: &str) -> Option<String> {
    let mut query = Query::default();
    for word in text.split(|c: char| c.is_whitespace() || c == '\0') {
        words(word, |part| match is_joined(part) {
            true => {
                query.end();
                terms.required(part, |term| query.alone(term));
            }
            false => terms.required(part, |term| query.next(term)),
        });
        query.end();
    }
    (!query.text.is_empty()).then_some(query.text)
}

/// An FTS5 query under construction: phrases joined by AND.
#[derive(Default)]
struct Query {
    text: String,
    in_phrase: bool,
}

impl Query {
    /// Adds a term to the current phrase.
    fn next(&mut self, term: &str) {
        let before = match (self.in_phrase, self.text.is_empty()) {
            (true, _) => " ",
            (false, true) => "\"",
            (false, false) => " \"",
        };
        self.text.push_str(before);
        self.text.push_str(term);
        self.in_phrase = true;
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.in_phrase) {
            self.text.push('"');
        }
    }

    fn alone(&mut self, term: &str) {
        self.next(term);
        self.end();
    }
}

/// A query for SQLite's FTS5 that finds memories in which at least one of `terms` occurs. `None` if there are no terms.
pub fn any_of<T: AsRef<str>>(terms: &[T]) -> Option<String> {
    let quoted: Vec<String> =
        terms.iter().map(|term| format!("\"{}\"", term.as_ref().replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// Length of a snippet, in characters.
const SNIPPET_CHARS: usize = 240;
/// Number of characters before the matched word in a snippet.
const SNIPPET_BEFORE_CHARS: usize = 60;

/// The part of `content` around the first word of `question` that occurs in it, or the start of `content` if none does.
/// `…` marks omitted text.
pub fn snippet(terms: &Terms, content: &str, question: &str) -> String {
    let start = terms.first_place(content, question).map_or(0, |at| start_before(content, at));
    let tail = &content[start..];
    let end = tail.char_indices().nth(SNIPPET_CHARS).map_or(tail.len(), |(end, _)| end);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < tail.len() { "…" } else { "" });
    format!("{before}{}{after}", &tail[..end])
}

/// A word boundary shortly before the offset `at`, or `at` itself if there is none.
fn start_before(content: &str, at: usize) -> usize {
    let before = &content[..at];
    let Some((earliest, _)) = before.char_indices().rev().nth(SNIPPET_BEFORE_CHARS) else { return 0 };
    before[earliest..].find(char::is_whitespace).map_or(at, |gap| earliest + gap).min(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, query: Option<&str>) {
        assert_eq!(full_text(&Terms::default(), words).as_deref(), query, "{words:?}");
    }

    #[test]
    fn nothing_typed_is_an_operator() {
        check("blue green", Some(r#""blue" "green""#));
        check("a OR b", Some(r#""a" "or" "b""#));
        check(r#"say "hi"*"#, Some(r#""say" "hi""#));
        check("title:x ^y NEAR(a b, 3)", Some(r#""titl x" "y" "near a" "b" "3""#));
        check("a\0b", Some(r#""a" "b""#));
        check("node-7", Some(r#""node 7""#));
    }

    #[test]
    fn scripts_without_blanks_are_asked_for_by_pairs() {
        check("咖啡店", Some(r#""咖啡" "啡店""#));
        check("GitHub上的 猫", Some(r#""github" "上" "的" "猫""#));
        check("커피숍에서", Some(r#""커피" "피숍""#));
    }

    #[test]
    fn nothing_to_look_for_is_no_query() {
        for words in ["", " \t\n", "\"\"", "()*^:-", "🦀 🎉", "\0"] {
            check(words, None);
        }
    }

    #[test]
    fn any_word_is_enough() {
        assert_eq!(any_of(&["blue", "OR"]).as_deref(), Some(r#""blue" OR "OR""#));
        assert_eq!(any_of::<&str>(&[]), None);
    }

    #[test]
    fn a_snippet_shows_the_word() {
        let snippet = |content: &str, words: &str| snippet(&Terms::default(), content, words);
        assert_eq!(snippet("the blue kettle", "KETTLE?"), "the blue kettle");
        assert_eq!(snippet("", "x"), "");
        let long = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let cut = snippet(&long, "needles");
        assert!(cut.starts_with("… hay") && cut.contains("needle") && cut.ends_with('…'), "{cut}");
        assert!(cut.chars().count() <= SNIPPET_CHARS + 2);
        let dense = format!("{}needle{}", "🦀".repeat(300), "🦀".repeat(300));
        assert!(snippet(&dense, "needle").contains("needle"), "no word boundary to start at");
        let joined = format!("{}咖啡店{}", "茶".repeat(300), "茶".repeat(300));
        assert!(snippet(&joined, "咖啡店").contains("咖啡店"));
        assert_eq!(snippet(&"x".repeat(300), "y"), format!("{}…", "x".repeat(240)));
    }
}
