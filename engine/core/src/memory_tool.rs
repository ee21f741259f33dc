//! Text operations of the memory tool `memory_20250818`, and the text of its results.
//!
//! The results match those of the tool's own client library for files on a disk, because models were trained on the
//! results of that library.

use crate::limits::ITEM_KEY_CHARS_MAX;
use crate::request::length;
use crate::words::normal_form;

mod command;

pub use command::command;

/// Namespace segment for memory files, which are stored as items. The path below `/memories` is the key.
pub const NAMESPACE: &str = "anthropic-memory";
const ROOT: &str = "/memories";
/// Width of a line number in the output, padded with spaces.
const NUMBER_WIDTH: usize = 6;
/// Maximum number of lines in a file that is shown; larger line numbers do not fit into [`NUMBER_WIDTH`].
const LINES_MAX: usize = 999_999;
/// Lines shown before and after a replacement.
const CONTEXT_LINES: usize = 2;
/// Maximum number of line numbers reported if the text to replace occurs more than once.
const PLACES_MAX: usize = 1000;
/// Levels of directories in a listing.
const LEVELS: usize = 2;

/// Error message of a failed command, written for the model.
pub type Failed = String;

/// A validated path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The path as requested.
    pub asked: String,
    /// The path below the root, without leading and trailing slashes; empty for the root.
    pub below: String,
}

impl Path {
    /// Validates a path: it must be below `/memories`, without segments such as `..` in any spelling that lead outside
    /// of it.
    pub fn new(asked: &str) -> Result<Path, Failed> {
        let below = asked.strip_prefix(ROOT).filter(|below| below.is_empty() || below.starts_with('/'));
        let below = below.ok_or_else(|| format!("Path must start with {ROOT}, got: {asked}"))?;
        if leads_elsewhere(below) {
            return Err(format!("Path {asked} would escape {ROOT} directory"));
        }
        if below.chars().any(char::is_control) {
            return Err(format!("Path {asked} has control characters"));
        }
        let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
        let below = normal_form(&segments.join("/")).into_owned();
        if length(&below) > ITEM_KEY_CHARS_MAX {
            return Err(format!("Path {asked} has more than {ITEM_KEY_CHARS_MAX} characters"));
        }
        if segments.iter().any(|segment| segment.trim().is_empty()) {
            return Err(format!("Path {asked} has a blank name"));
        }
        Ok(Path { asked: asked.to_owned(), below })
    }

    /// Whether the path is `/memories` itself.
    pub fn is_root(&self) -> bool {
        self.below.is_empty()
    }

    /// Common prefix of all paths inside this directory.
    pub fn inside(&self) -> String {
        if self.is_root() { String::new() } else { format!("{}/", self.below) }
    }

    /// Parent directories, outermost first, without the root.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.below.match_indices('/').map(|(at, _)| &self.below[..at])
    }
}

/// Whether a segment is `.` or `..`, plain, escaped any number of times, or written with lookalike characters.
fn leads_elsewhere(path: &str) -> bool {
    let mut path = path.to_owned();
    loop {
        let plain: String = path
            .chars()
            .map(|c| match c {
                '\\' | '\u{ff0f}' | '\u{ff3c}' | '\u{2215}' | '\u{2044}' | '\u{29f8}' => '/',
                '\u{ff0e}' | '\u{2024}' | '\u{fe52}' => '.',
                c => c,
            })
            .collect();
        if plain.split('/').any(|segment| matches!(segment.trim(), "." | ".." | "\u{2025}")) {
            return true;
        }
        // The loop ends, because each pass makes the text shorter.
        match unescaped(&plain) {
            Some(shorter) => path = shorter,
            None => return false,
        }
    }
}

fn unescaped(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let (mut plain, mut at, mut found) = (Vec::with_capacity(bytes.len()), 0, false);
    while at < bytes.len() {
        let digits = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
                found = true;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    found.then(|| String::from_utf8_lossy(&plain).into_owned())
}

/// Path of a file, and its size in bytes.
pub type File = (String, u64);

/// Listing of a directory. `files` are all files below it, with their paths below the root.
pub fn listing(path: &Path, files: &[File]) -> String {
    let inside = path.inside();
    // The path as requested, including a trailing slash, as the tool's own library shows it.
    let asked = &path.asked;
    let relative: Vec<(Vec<&str>, u64)> = files
        .iter()
        .filter_map(|(file, size)| Some((file.strip_prefix(inside.as_str())?.split('/').collect(), *size)))
        .collect();
    let total = relative.iter().map(|(_, size)| size).sum();
    let mut lines = vec![
        format!("Here're the files and directories up to 2 levels deep in {asked}, excluding hidden items:"),
        format!("{}\t{asked}", size(total)),
    ];
    list(&relative, &mut Vec::new(), asked, &mut lines);
    lines.join("\n")
}

fn list<'a>(files: &[(Vec<&'a str>, u64)], above: &mut Vec<&'a str>, asked: &str, lines: &mut Vec<String>) {
    let depth = above.len();
    let mut names: Vec<&str> = files
        .iter()
        .filter(|(segments, _)| segments.starts_with(above))
        .filter_map(|(segments, _)| segments.get(depth).copied())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        above.push(name);
        let below = || files.iter().filter(|(segments, _)| segments.starts_with(above));
        let is_directory = below().any(|(segments, _)| segments.len() > above.len());
        let slash = if is_directory { "/" } else { "" };
        let bytes = size(below().map(|(_, size)| size).sum());
        lines.push(format!("{bytes}\t{asked}/{}{slash}", above.join("/")));
        if is_directory && above.len() < LEVELS {
            list(files, above, asked, lines);
        }
        above.pop();
    }
}

fn size(bytes: u64) -> String {
    let units = ["B", "K", "M", "G"];
    let unit = (bytes.max(1).ilog2() / 10).min(3);
    let whole = 1_u64 << (10 * unit);
    let unit = units[unit as usize];
    if bytes.is_multiple_of(whole) {
        return format!("{}{unit}", bytes / whole);
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal of a size is shown")]
    let parts = bytes as f64 / whole as f64;
    format!("{parts:.1}{unit}")
}

/// The `text` of a file with numbered lines. `range` is the first and the last line to show, counted from 1; -1 is the
/// last line of the file.
pub fn numbered(path: &Path, text: &str, range: Option<&[i64]>) -> Result<String, Failed> {
    let asked = &path.asked;
    let lines: Vec<&str> = text.split('\n').collect();
    if lines.len() > LINES_MAX {
        return Err(format!("File {asked} exceeds maximum line limit of 999,999 lines."));
    }
    let (start, end) = match range {
        Some([first, last]) => {
            let from_end =
                lines.len().saturating_sub(usize::try_from(last.unsigned_abs()).unwrap_or(usize::MAX));
            let end = match *last {
                -1 => lines.len(),
                ..=-2 => from_end,
                last => usize::try_from(last).unwrap_or(usize::MAX).min(lines.len()),
            };
            (usize::try_from((*first).max(1) - 1).unwrap_or(usize::MAX).min(end), end)
        }
        _ => (0, lines.len()),
    };
    let mut shown = vec![format!("Here's the content of {asked} with line numbers:")];
    shown.extend((start..end).map(|at| line(at, &lines)));
    // If no line is selected, the result still has the line end after the heading.
    Ok(if start == end { format!("{}\n", shown[0]) } else { shown.join("\n") })
}

fn line(at: usize, lines: &[&str]) -> String {
    format!("{:>NUMBER_WIDTH$}\t{}", at + 1, lines[at])
}

/// Replaces the only occurrence of `old` in `text` by `new`; returns the new text and the result message.
pub fn replaced(path: &Path, text: &str, old: &str, new: &str) -> Result<(String, String), Failed> {
    let asked = &path.asked;
    if old.is_empty() {
        return Err("No replacement was performed, old_str is empty.".into());
    }
    let mut places = occurrences(text, old);
    let Some(place) = places.next() else {
        return Err(format!(
            "No replacement was performed, old_str `{old}` did not appear verbatim in {asked}."
        ));
    };
    let line_of = |place: usize| text[..place].matches('\n').count();
    if text[place + old.len()..].contains(old) {
        let all = std::iter::once(place).chain(places).take(PLACES_MAX);
        let lines: Vec<String> = all.map(|place| (line_of(place) + 1).to_string()).collect();
        return Err(format!(
            "No replacement was performed. Multiple occurrences of old_str `{old}` in lines: {}. Please ensure it is unique",
            lines.join(", ")
        ));
    }
    let edited = format!("{}{new}{}", &text[..place], &text[place + old.len()..]);
    let lines: Vec<&str> = edited.split('\n').collect();
    let changed = line_of(place);
    let shown = changed.saturating_sub(CONTEXT_LINES)..lines.len().min(changed + CONTEXT_LINES + 1);
    let snippet: Vec<String> = shown.map(|at| line(at, &lines)).collect();
    let answer = format!(
        "The memory file has been edited. Here is the snippet showing the change (with line numbers):\n{}",
        snippet.join("\n")
    );
    Ok((edited, answer))
}

/// Start offsets of all occurrences, overlapping ones included.
fn occurrences<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let place = from + text.get(from..)?.find(wanted)?;
        from = place + text[place..].chars().next().map_or(1, char::len_utf8);
        Some(place)
    })
}

/// Inserts `more` after line `behind` of `text`; returns the new text and the result message.
pub fn inserted(path: &Path, text: &str, behind: i64, more: &str) -> Result<(String, String), Failed> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let place = usize::try_from(behind).ok().filter(|place| *place <= lines.len());
    let place = place.ok_or_else(|| {
        let last = lines.len();
        format!("Invalid `insert_line` parameter: {behind}. It should be within the range [0, {last}].")
    })?;
    lines.insert(place, more.trim_end_matches('\n'));
    let mut edited = lines.join("\n");
    if !edited.ends_with('\n') {
        edited.push('\n');
    }
    Ok((edited, format!("The file {} has been edited.", path.asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(asked: &str) -> Path {
        Path::new(asked).unwrap()
    }

    #[test]
    fn no_path_leads_out() {
        for asked in [
            "/memories/../etc/passwd",
            "/memories/a/../../b",
            "/memories/..",
            "/memories/.",
            "/memories/a/./b",
            "/memories/%2e%2e/etc",
            "/memories/%2E%2e%2fetc",
            "/memories/..%2fetc",
            "/memories/%252e%252e/etc",
            "/memories/%25252e%25252e%25252fetc",
            "/memories/..\\etc",
            "/memories/a\\..\\..\\b",
            "/memories/%5c..%5cetc",
            "/memories/\u{ff0e}\u{ff0e}/etc",
            "/memories/..\u{ff0f}etc",
            "/memories/%ef%bc%8e%ef%bc%8e/etc",
            "/memories/ .. /etc",
            "/memories/\u{2025}/etc",
        ] {
            let fault = Path::new(asked).unwrap_err();
            assert!(fault.ends_with("would escape /memories directory"), "{asked}: {fault}");
        }
        for asked in
            ["", "/", "memories/a", "/etc/passwd", "/memoriesx", "//memories/a", "/Memories/a", "~/memories"]
        {
            let fault = Path::new(asked).unwrap_err();
            assert!(fault.starts_with("Path must start with /memories"), "{asked}: {fault}");
        }
        for asked in ["/memories/a\0b", "/memories/a\nb", "/memories/ /b"] {
            assert!(Path::new(asked).is_err(), "{asked:?}");
        }
        assert!(Path::new(&format!("/memories/{}", "é".repeat(512))).is_ok());
        assert!(Path::new(&format!("/memories/{}", "é".repeat(513))).is_err());
    }

    #[test]
    fn names_with_dots_and_percent_signs_are_names() {
        for (asked, below) in [
            ("/memories", ""),
            ("/memories/", ""),
            ("/memories//a///b/", "a/b"),
            ("/memories/...", "..."),
            ("/memories/a..b/.hidden", "a..b/.hidden"),
            ("/memories/100%", "100%"),
            ("/memories/50%25 off %zz", "50%25 off %zz"),
        ] {
            assert_eq!(path(asked).below, below);
        }
        assert_eq!(path("/memories/a/b/c").parents().collect::<Vec<_>>(), ["a", "a/b"]);
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, said) in
            [(0, "0B"), (1023, "1023B"), (1024, "1K"), (1536, "1.5K"), (1 << 20, "1M"), (5 << 40, "5120G")]
        {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn a_directory_shows_two_levels_without_what_is_hidden() {
        let files = [
            ("b.txt", 3),
            ("a/one", 1024),
            ("a/in/two", 5),
            ("a/in/deep/three", 7),
            (".hidden", 9),
            ("a/.h/x", 1),
        ];
        let files: Vec<File> = files.iter().map(|(file, size)| ((*file).to_owned(), *size)).collect();
        let shown = "Here're the files and directories up to 2 levels deep in /memories, excluding hidden items:\n\
            1.0K\t/memories\n1.0K\t/memories/a/\n12B\t/memories/a/in/\n1K\t/memories/a/one\n3B\t/memories/b.txt";
        assert_eq!(listing(&path("/memories"), &files), shown);
        let with_slash = listing(&path("/memories/"), &files);
        assert!(with_slash.contains("deep in /memories/, excluding"), "{with_slash}");
        assert!(
            with_slash.contains("\n1.0K\t/memories/\n1.0K\t/memories//a/\n12B\t/memories//a/in/\n"),
            "{with_slash}"
        );
        let inner = listing(&path("/memories/a/in"), &files);
        assert!(inner.ends_with("12B\t/memories/a/in\n7B\t/memories/a/in/deep/\n7B\t/memories/a/in/deep/three\n5B\t/memories/a/in/two"), "{inner}");
    }

    #[test]
    fn what_occurs_more_than_once_is_not_replaced() {
        let at = path("/memories/f");
        let (text, said) = replaced(&at, "1\n2\n3\n4\n5\n6", "4", "four\nand").unwrap();
        assert_eq!(text, "1\n2\n3\nfour\nand\n5\n6");
        assert!(said.ends_with("     2\t2\n     3\t3\n     4\tfour\n     5\tand\n     6\t5"), "{said}");
        assert!(replaced(&at, "a\nb\na", "a", "c").unwrap_err().contains("in lines: 1, 3. Please"));
        assert!(replaced(&at, "a", "b", "c").unwrap_err().contains("did not appear verbatim in /memories/f"));
        assert_eq!(replaced(&at, "aaa", "aa", "b").unwrap().0, "ba", "overlapping is once");
        assert!(replaced(&at, "a", "", "b").is_err());
    }

    #[test]
    fn lines_are_put_where_they_are_wanted() {
        let at = path("/memories/f");
        let into = |text, behind, more| inserted(&at, text, behind, more).map(|(text, _)| text);
        assert_eq!(into("a\nb", 1, "x\n\n").unwrap(), "a\nx\nb\n");
        assert_eq!(into("", 0, "x").unwrap(), "x\n");
        assert_eq!(into("a\n", 1, "x").unwrap(), "a\nx\n");
        assert!(into("a\n", 2, "x").unwrap_err().contains("within the range [0, 1]"));
        assert!(into("a\n", -1, "x").is_err());
    }

    #[test]
    fn a_part_of_a_file_keeps_its_numbers() {
        let at = path("/memories/f");
        let shown = |range: &[i64]| numbered(&at, "a\nb\nc\n", Some(range)).unwrap();
        let head = "Here's the content of /memories/f with line numbers:\n";
        assert_eq!(shown(&[2, 3]), format!("{head}     2\tb\n     3\tc"));
        assert_eq!(shown(&[3, -1]), format!("{head}     3\tc\n     4\t"));
        assert_eq!(shown(&[0, 1]), format!("{head}     1\ta"));
        assert_eq!(shown(&[9, 10]), head);
        assert_eq!(shown(&[1, -3]), format!("{head}     1\ta"));
        assert_eq!(numbered(&at, "", None).unwrap(), format!("{head}     1\t"));
        assert!(numbered(&at, &"\n".repeat(LINES_MAX), None).is_err());
    }
}
