//! Converts documents to memories: computes their normal form and cuts them into pieces.

mod normal;
mod pieces;
mod structure;

use crate::digest::Hash;
use crate::event::{Draft, Source};
use crate::limits::{DOCUMENT_PIECE_BYTES_MAX, DOCUMENT_PIECES_MAX, DOCUMENT_TYPE_DEFAULT, SOURCE_CHARS_MAX};
use crate::request::{Refused, count, name, piece};
use crate::wire::{Document, SaveMemory};
use crate::words::normal_form;

pub use normal::{lines, normal};
use structure::Structure;

/// Attribution of a saved document.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// Project that the pieces belong to.
    pub project: Option<String>,
    /// Conversation in which the document was sent.
    pub session: Option<String>,
    /// Person or agent that sent it.
    pub actor: Option<String>,
}

/// A document that passed the checks.
#[derive(Debug)]
pub struct Checked {
    /// SHA-256 of the normal form. Documents that differ only in invisible ways, such as line ends, have the same hash.
    pub sha256: Hash,
    /// SHA-256 of the bytes as sent. Engines that predate the normal form recorded this hash.
    pub as_sent: Hash,
    /// The document's pieces, as memories to save.
    pub pieces: Vec<Draft>,
}

/// Checks a document and cuts it into pieces. The pieces contain the text as sent, except that line ends become line
/// feeds.
pub fn check(document: &Document, sender: &Sender) -> Result<Checked, Refused> {
    name("source", &document.source, SOURCE_CHARS_MAX)?;
    let as_sent = Hash::of(document.content.as_bytes());
    let content = lines(&document.content);
    if content.trim().is_empty() {
        return Err(Refused::Empty("content".into()));
    }
    let sha256 = Hash::of(normal(&content).as_bytes());
    let structure = if is_program(&document.source, &content) {
        Structure::of_lines(&content)
    } else {
        Structure::of(&content)
    };
    let all = pieces::pieces(&content, &structure, DOCUMENT_PIECE_BYTES_MAX);
    // Pieces of white space only are dropped.
    let texts: Vec<&str> = all.into_iter().filter(|text| !text.trim().is_empty()).collect();
    count("the document, in pieces,", texts.len(), 1, DOCUMENT_PIECES_MAX)?;
    let pieces = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    let title = document.title.clone().or_else(|| structure.title());
    let draft = |(number, text): (u32, &str)| {
        let source =
            Source { uri: normal_form(&document.source).into_owned(), sha256, piece: number, pieces };
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
    let pieces = (1..).zip(texts).map(draft).collect::<Result<_, _>>()?;
    Ok(Checked { sha256, as_sent, pieces })
}

/// Cuts plain text without document structure between sentences, into pieces of at most `bytes_max` bytes. The
/// concatenated pieces equal the text.
pub fn prose(text: &str, bytes_max: usize) -> Vec<&str> {
    pieces::pieces(text, &Structure::default(), bytes_max)
}

/// File extensions of programs and configuration, in which `#` does not start a heading. Their only structure is their
/// lines.
const PROGRAMS: [&str; 40] = [
    "bash", "c", "cc", "cfg", "clj", "conf", "cpp", "cs", "css", "csv", "env", "ex", "go", "h", "hpp", "ini",
    "java", "jl", "js", "json", "jsonl", "kt", "lua", "php", "pl", "ps1", "py", "r", "rb", "rs", "scala",
    "sh", "sql", "swift", "tf", "toml", "ts", "yaml", "yml", "zsh",
];

/// Whether a document is a program or a configuration file.
fn is_program(source: &str, text: &str) -> bool {
    let path = source.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    text.starts_with("#!/") || ending.is_some_and(|ending| PROGRAMS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str, content: &str) -> Document {
        Document {
            source: source.into(),
            content: content.into(),
            title: None,
            kind: None,
            tags: Vec::new(),
            occurred_at: None,
        }
    }

    fn title(source: &str, content: &str) -> serde_json::Value {
        let checked = check(&document(source, content), &Sender::default()).unwrap();
        let payload: serde_json::Value = serde_json::from_str(checked.pieces[0].payload.get()).unwrap();
        payload["title"].clone()
    }

    #[test]
    fn a_document_is_checked_as_a_whole() {
        let Checked { sha256, pieces, .. } =
            check(&document("a.md", "# Head\n\ntext"), &Sender::default()).unwrap();
        assert_eq!((pieces.len(), sha256), (1, Hash::of(b"# Head\n\ntext")));
        assert!(
            pieces[0].payload.get().contains(r#""title":"Head","type":"document""#),
            "{}",
            pieces[0].payload
        );
        assert!(check(&document("", "x"), &Sender::default()).is_err());
        assert!(check(&document("a", " \n"), &Sender::default()).is_err());
        assert!(check(&document("a", "\u{feff}\r\n"), &Sender::default()).is_err());
        let long = "word ".repeat(DOCUMENT_PIECES_MAX * DOCUMENT_PIECE_BYTES_MAX / 5 + 2000);
        assert!(check(&document("a", &long), &Sender::default()).is_err());
    }

    #[test]
    fn a_document_with_other_line_ends_is_the_same_document() {
        let hash = |content: &str| check(&document("a.md", content), &Sender::default()).unwrap().sha256;
        let one = "# Café\n\n```sh\n# make it\n```\n\nend\n";
        assert_eq!(hash(one), hash(&one.replace('\n', "\r\n")));
        assert_eq!(hash(one), hash(&format!("\u{feff}{one}")));
        assert_eq!(hash(one), hash(&one.replace('é', "e\u{301}")));
        assert_ne!(hash(one), hash(&one.replace("end", "End")));
    }

    #[test]
    fn a_comment_of_a_program_is_no_title() {
        let text = "#!/bin/sh\n# Usage: run\nrun\n";
        assert_eq!(title("notes/run", text), serde_json::Value::Null);
        assert_eq!(
            title("https://example.org/a/values.YAML?raw=1", "# defaults\nkey: 1\n"),
            serde_json::Value::Null
        );
        assert_eq!(title("notes/run.md", "```sh\n# Usage: run\n```\n\nRunning\n-------\n"), "Running");
        assert_eq!(title("README", "\u{feff}# Readme\r\n"), "Readme");
    }
}
