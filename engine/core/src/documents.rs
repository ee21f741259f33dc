//! Documents as memories: where a text is cut into pieces.

use crate::digest::Hash;
use crate::event::{Draft, Source};
use crate::limits::{
    DOCUMENT_PIECE_BYTES_MAX, DOCUMENT_PIECES_MAX, DOCUMENT_TYPE_DEFAULT, SOURCE_CHARS_MAX, TITLE_CHARS_MAX,
};
use crate::request::{Refused, count, name, piece};
use crate::wire::{Document, SaveMemory};

/// Whoever sends documents.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// What they belong to.
    pub project: Option<String>,
    /// The conversation they came from.
    pub session: Option<String>,
    /// Who.
    pub actor: Option<String>,
}

/// Checks a document; its pieces as memories to save, and the SHA-256 of all of it.
pub fn check(document: &Document, sender: &Sender) -> Result<(Hash, Vec<Draft>), Refused> {
    name("source", &document.source, SOURCE_CHARS_MAX)?;
    if document.content.trim().is_empty() {
        return Err(Refused::Empty("content".into()));
    }
    let sha256 = Hash::of(document.content.as_bytes());
    let all = pieces(&document.content, DOCUMENT_PIECE_BYTES_MAX);
    // Blank ones say nothing.
    let texts: Vec<&str> = all.into_iter().filter(|text| !text.trim().is_empty()).collect();
    count("the document, in pieces,", texts.len(), 1, DOCUMENT_PIECES_MAX)?;
    let pieces = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    let title = document.title.clone().or_else(|| first_heading(&document.content));
    let draft = |(number, text): (u32, &str)| {
        let source = Source { uri: document.source.clone(), sha256, piece: number, pieces };
        let request = SaveMemory {
            same_text: None,
            content: text.to_owned(),
            title: title.clone(),
            project: sender.project.clone(),
            kind: Some(document.kind.clone().unwrap_or_else(|| DOCUMENT_TYPE_DEFAULT.into())),
            tags: document.tags.clone(),
            session: sender.session.clone(),
            actor: sender.actor.clone(),
            occurred_at: document.occurred_at,
            valid_from: None,
            entities: Vec::new(),
        };
        piece(request, Some(source))
    };
    let drafts = (1..).zip(texts).map(draft).collect::<Result<_, _>>()?;
    Ok((sha256, drafts))
}

/// The text of the first heading, if it can be a title as it is.
fn first_heading(text: &str) -> Option<String> {
    let line = text.lines().find(|line| is_heading(line))?;
    let title = line.trim_start_matches('#').trim();
    let fits =
        !title.is_empty() && title.chars().count() <= TITLE_CHARS_MAX && !title.chars().any(char::is_control);
    fits.then(|| title.to_owned())
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - rest.len())) && rest.starts_with(' ')
}

/// Cuts a text into pieces of at most so many bytes, at least four. Put together they are the text.
///
/// A piece begins at a heading or a paragraph where that is possible, else at a line, else at a word, else anywhere between
/// two characters. A heading begins a new piece unless the one before is still small: a piece should be about one thing.
pub fn pieces(text: &str, max: usize) -> Vec<&str> {
    let max = max.max(4);
    let (mut pieces, mut start, mut end) = (Vec::new(), 0, 0);
    for block in blocks(text) {
        let len = end - start;
        let full = len + block.len() > max;
        let chapter = len >= max / 4 && is_heading(block.lines().next().unwrap_or_default());
        if len > 0 && (full || chapter) {
            pieces.push(&text[start..end]);
            start = end;
        }
        end += block.len();
        while end - start > max {
            let cut = start + cut_within(&text[start..end], max);
            pieces.push(&text[start..cut]);
            start = cut;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Paragraphs with the blank lines behind them. What is fenced as code is one, whatever stands in it.
fn blocks(text: &str) -> Vec<&str> {
    let (mut blocks, mut start, mut place, mut fenced, mut blank) = (Vec::new(), 0, 0, false, false);
    for line in text.split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        let begins = !fenced && !is_blank && (blank || is_heading(line));
        if begins && place > start {
            blocks.push(&text[start..place]);
            start = place;
        }
        fenced ^= line.trim_start().starts_with("```");
        blank = is_blank && !fenced;
        place += line.len();
    }
    blocks.push(&text[start..]);
    blocks
}

/// Where to cut a text that is longer than `max` bytes: behind a line, a word or a character, in its second half.
fn cut_within(text: &str, max: usize) -> usize {
    let last = (0..=max).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(text.len());
    let head = &text[..last];
    let behind = |found: Option<usize>| found.map(|place| place + 1).filter(|place| *place > max / 2);
    behind(head.rfind('\n')).or_else(|| behind(head.rfind(' '))).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_begins_where_a_thought_does() {
        let text = "# One\n\nfirst thought\n\nsecond thought, longer\n\n## Two\n\nthird\n";
        assert_eq!(
            pieces(text, 100),
            ["# One\n\nfirst thought\n\nsecond thought, longer\n\n", "## Two\n\nthird\n"]
        );
        assert_eq!(pieces(text, 30)[0], "# One\n\nfirst thought\n\n");
        let code = "a\n\n```\n# no heading\n\nx\n```\n\nb\n";
        assert_eq!(blocks(code), ["a\n\n", "```\n# no heading\n\nx\n```\n\n", "b\n"]);
        assert_eq!(pieces("one two three four", 9), ["one two ", "three ", "four"]);
        assert!(pieces("", 10).is_empty());
    }

    #[test]
    fn a_document_is_checked_as_a_whole() {
        let document = |source: &str, content: &str| Document {
            source: source.into(),
            content: content.into(),
            title: None,
            kind: None,
            tags: Vec::new(),
            occurred_at: None,
        };
        let (sha256, drafts) = check(&document("a.md", "# Head\n\ntext"), &Sender::default()).unwrap();
        assert_eq!((drafts.len(), sha256), (1, Hash::of(b"# Head\n\ntext")));
        assert!(
            drafts[0].payload.get().contains(r#""title":"Head","type":"document""#),
            "{}",
            drafts[0].payload
        );
        assert!(check(&document("", "x"), &Sender::default()).is_err());
        assert!(check(&document("a", " \n"), &Sender::default()).is_err());
        let long = "word ".repeat(DOCUMENT_PIECES_MAX * DOCUMENT_PIECE_BYTES_MAX / 5 + 2000);
        assert!(check(&document("a", &long), &Sender::default()).is_err());
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_and_no_larger_than_they_may_be(
            text in "([a-c# é🦀]|\n|\n\n|```|# x\n|[a-z]{1,40}){0,60}",
            max in 4..60_usize,
        ) {
            let cut = pieces(&text, max);
            prop_assert_eq!(cut.concat(), text.as_str());
            for piece in cut {
                prop_assert!(!piece.is_empty() && piece.len() <= max, "{:?}", piece);
            }
        }
    }
}
