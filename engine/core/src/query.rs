//! A person's words as a full-text query. Nothing a person types is an operator: every word is quoted.

use std::collections::BTreeSet;

/// The query for SQLite's FTS5, in which every word must occur. `None` when there is nothing to look for: the text
/// has no letters and no digits.
///
/// A word with marks inside, such as `node-7` or `C:\temp`, is a phrase: its parts next to each other.
pub fn full_text(words: &str) -> Option<String> {
    let mut query = String::with_capacity(words.len() + 16);
    for word in words.split(|c: char| c.is_whitespace() || c == '\0') {
        if !word.chars().any(char::is_alphanumeric) {
            continue;
        }
        if !query.is_empty() {
            query.push(' ');
        }
        query.push('"');
        query.push_str(&word.replace('"', "\"\""));
        query.push('"');
    }
    (!query.is_empty()).then_some(query)
}

/// The query for SQLite's FTS5, in which any of these words must occur. `None` when there are none.
pub fn any_of(words: &[&str]) -> Option<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// Characters of a snippet.
const SNIPPET_CHARS: usize = 240;
/// Characters of a snippet before the word it was cut out for.
const SNIPPET_BEFORE_CHARS: usize = 60;

/// The part of `content` around the first of these words, or its start when none is there as it was typed (it may
/// have been found without its accents). `…` marks what was left out.
pub fn snippet(content: &str, words: &str) -> String {
    let wanted: BTreeSet<String> = tokens(words).map(|(_, word)| word.to_lowercase()).collect();
    let first = tokens(content).find(|(_, word)| wanted.contains(&word.to_lowercase()));
    let start = first.map_or(0, |(at, _)| start_before(content, at));
    let tail = &content[start..];
    let end = tail.char_indices().nth(SNIPPET_CHARS).map_or(tail.len(), |(end, _)| end);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < tail.len() { "…" } else { "" });
    format!("{before}{}{after}", &tail[..end])
}

/// Words and where they begin.
fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// A few words before this place; the place itself when there is no gap between words.
fn start_before(content: &str, at: usize) -> usize {
    let before = &content[..at];
    let Some((earliest, _)) = before.char_indices().rev().nth(SNIPPET_BEFORE_CHARS) else { return 0 };
    before[earliest..].find(char::is_whitespace).map_or(at, |gap| earliest + gap).min(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, query: Option<&str>) {
        assert_eq!(full_text(words).as_deref(), query, "{words:?}");
    }

    #[test]
    fn nothing_typed_is_an_operator() {
        check("blue green", Some(r#""blue" "green""#));
        check("a OR b", Some(r#""a" "OR" "b""#));
        check(r#"say "hi"*"#, Some(r#""say" """hi""*""#));
        check("title:x ^y NEAR(a b, 3)", Some(r#""title:x" "^y" "NEAR(a" "b," "3)""#));
        check("a\0b", Some(r#""a" "b""#));
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
        assert_eq!(any_of(&[]), None);
    }

    #[test]
    fn a_snippet_shows_the_word() {
        assert_eq!(snippet("the blue kettle", "KETTLE?"), "the blue kettle");
        assert_eq!(snippet("", "x"), "");
        let long = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let cut = snippet(&long, "needle");
        assert!(cut.starts_with("… hay") && cut.contains("needle") && cut.ends_with('…'), "{cut}");
        assert!(cut.chars().count() <= SNIPPET_CHARS + 2);
        let dense = format!("{}needle{}", "🦀".repeat(300), "🦀".repeat(300));
        assert!(snippet(&dense, "needle").contains("needle"), "no gap to start at");
        assert_eq!(snippet(&"x".repeat(300), "y"), format!("{}…", "x".repeat(240)));
    }
}
