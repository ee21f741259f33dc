//! Normal form of texts, so that texts that look the same compare equal.

use unicode_normalization::UnicodeNormalization;

use super::structure::Structure;

/// A text without a byte order mark, with line feeds as line ends.
pub fn lines(text: &str) -> String {
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")
}

/// Maximum number of passes until the normal form no longer changes. One or two passes are usually enough.
const LOOKS_MAX: usize = 4;

/// The form in which texts are compared: no byte order mark, line feeds as line ends, composed characters (NFC), no
/// blank lines at the start or end, no line feed at the end.
///
/// Trailing white space that has no meaning is removed. A hard line break keeps two spaces; code keeps all of its white
/// space.
pub fn normal(text: &str) -> String {
    let mut form: String = lines(text).nfc().collect();
    for _ in 0..LOOKS_MAX {
        let next = without_blanks(without_blank_lines_around(&form));
        let same = next == form;
        form = next;
        if same {
            break;
        }
    }
    form
}

fn without_blanks(text: &str) -> String {
    let structure = Structure::of(text);
    let mut out = String::with_capacity(text.len());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (content, ending) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
        let (end, said) = (start + content.len(), content.trim_end_matches(blank));
        if structure.is_verbatim(end) || structure.is_verbatim(start + said.len()) {
            out.push_str(content);
        } else {
            out.push_str(said);
            out.push_str(if structure.breaks_hard(end) { "  " } else { "" });
        }
        out.push_str(ending);
        start += line.len();
    }
    out
}

fn blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// Removes the blank lines before the first and after the last line that has content.
fn without_blank_lines_around(text: &str) -> &str {
    let text = text.trim_end_matches(|character| blank(character) || character == '\n');
    let indented =
        text.trim_start_matches(|character| blank(character) || matches!(character, '\n' | '\u{feff}'));
    let first_line = text[..text.len() - indented.len()].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    text[first_line..].trim_start_matches('\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_look_the_same_are_the_same() {
        let one = "# Café\n\nfirst line\nsecond line\n\n```sh\n# code  \nx\n```\n\nend";
        let lines = |ending: &str| one.replace('\n', ending);
        for other in [
            format!("\u{feff}{one}"),
            lines("\r\n"),
            lines("\r"),
            format!("\u{feff}{}\r\n", lines("\r\n")),
            one.replace('é', "e\u{301}"),
            one.replace("first line", "first line "),
            one.replace("second line\n\n", "second line\t\n  \n"),
            format!("\n  \n{one}\n\n \n"),
        ] {
            assert_eq!(normal(&other), one, "{other:?}");
        }
    }

    #[test]
    fn blanks_that_mean_something_stay() {
        assert_eq!(normal("one    \ntwo  \n\nthree  "), "one  \ntwo\n\nthree");
        assert_eq!(normal("```\na  \n  \nb\t\n```"), "```\na  \n  \nb\t\n```");
        assert_eq!(
            normal("text\n\n    indented  \n    code \n\ntext "),
            "text\n\n    indented  \n    code \n\ntext"
        );
        assert_eq!(normal("\n\n    indented first"), "    indented first");
        assert_eq!(normal("one\u{a0}\ntwo"), "one\u{a0}\ntwo", "a no-break space stays");
        assert_eq!(normal("\u{feff}\r\n \t\r\n"), "");
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(
            text in "([a-c# \t>*-]|\r\n|\n|\r|\u{feff}|e\u{301}|\n\n|```|~~~|---|\n    |<b>|`|  \n|\\\\\n|é){0,40}",
        ) {
            let once = normal(&text);
            prop_assert_eq!(normal(&once), once.clone());
            prop_assert!(!once.contains('\r') && !once.ends_with('\n'));
        }
    }
}
