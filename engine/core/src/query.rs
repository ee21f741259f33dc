//! A person's words as a full-text query. Nothing a person types is an operator: every word is quoted.

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
}
