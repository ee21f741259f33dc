//! Signed checkpoints of a log, as in c2sp.org/tlog-checkpoint: origin, number of events, and Merkle root.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::digest::Hash;
use crate::note::{self, NoteFault, SignerKey, VerifierKey, is_key_name};
use crate::wire::CheckpointView;

/// Maximum number of extension lines; a checkpoint with more is refused.
pub const EXTENSIONS_MAX: usize = 16;

/// Origin of a log: the first line of its checkpoints, and the name of its keys.
pub fn origin(log_id: &str) -> String {
    format!("memory-engine/{log_id}")
}

/// The content of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Identifies the log, as returned by [`origin`].
    pub origin: String,
    /// Number of events, below 2^63; also the sequence number of the last event.
    pub size: u64,
    /// Root of the Merkle tree over these events.
    pub root: Hash,
    /// Extension lines; none of them is empty.
    pub extensions: Vec<String>,
}

/// Why a note is not a valid checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointFault {
    /// The text is not a signed note, or no known key signed it.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// The signed text is not a checkpoint; names the part at fault.
    #[error("the {0} of the checkpoint is malformed")]
    Form(&'static str),
}

impl CheckpointFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            CheckpointFault::Note(fault) => fault.label(),
            CheckpointFault::Form(_) => "checkpoint",
        }
    }
}

impl Checkpoint {
    /// Signs this checkpoint with each of `keys` and returns the signed note. Two keys are passed only for the
    /// checkpoint that a key rotation writes.
    ///
    /// # Errors
    ///
    /// [`CheckpointFault::Form`] when a field cannot be represented in a checkpoint.
    pub fn sign(&self, keys: &[&SignerKey]) -> Result<String, CheckpointFault> {
        let text = self.to_string();
        // Do not sign a checkpoint that this engine could not read back.
        if Checkpoint::parse(&text)? != *self {
            return Err(CheckpointFault::Form("text"));
        }
        Ok(note::sign(&text, keys)?)
    }

    /// Parses `note` and verifies that at least one of `keys` signed it. Returns the checkpoint and the keys that
    /// signed it.
    ///
    /// # Errors
    ///
    /// A [`CheckpointFault`].
    pub fn open<'k>(
        note: &[u8],
        keys: &'k [VerifierKey],
    ) -> Result<(Checkpoint, Vec<&'k VerifierKey>), CheckpointFault> {
        let (text, signers) = note::open(note, keys)?;
        Ok((Checkpoint::parse(text)?, signers))
    }

    fn parse(text: &str) -> Result<Checkpoint, CheckpointFault> {
        let form = CheckpointFault::Form;
        let mut lines = text.strip_suffix('\n').ok_or(form("end"))?.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (origin, size, root) = (next(), next(), next());
        if !is_key_name(origin) {
            return Err(form("origin"));
        }
        let size = decimal(size).ok_or(form("size"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = Hash(root.ok_or(form("root"))?);
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.len() > EXTENSIONS_MAX || extensions.iter().any(String::is_empty) {
            return Err(form("extension"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root, extensions })
    }

    /// The [`Position`] in the extension lines; None if there is none. An engine's own checkpoints contain one.
    pub fn position(&self) -> Option<Position> {
        self.extensions.iter().find_map(|line| Position::parse(line))
    }

    /// The checkpoint as reported by the API; `note` is its signed form.
    pub fn view(&self, note: &str, key: &VerifierKey) -> CheckpointView {
        CheckpointView {
            origin: self.origin.clone(),
            size: self.size,
            root: self.root.to_string(),
            key: key.to_string(),
            note: note.to_owned(),
        }
    }
}

/// Formats the text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.0))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Place in the log files where the events of a checkpoint end. Stored as an extension line of the engine's own
/// checkpoints, so that a starting engine does not read the events before it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence number of the segment's first event, which gives the segment's file its name.
    pub first_seq: u64,
    /// Length of the uncompressed segment up to this point, bytes.
    pub offset: u64,
    /// Hash of the last line before this point.
    pub hash: Hash,
}

impl Position {
    /// Parses an extension line; None if the line is not a position.
    pub fn parse(line: &str) -> Option<Position> {
        let mut fields = line.strip_prefix("position ")?.split(' ');
        let mut next = || fields.next();
        let (first_seq, offset) = (decimal(next()?)?, decimal(next()?)?);
        let hash = Hash::from_hex(next()?.as_bytes())?;
        next().is_none().then_some(Position { first_seq, offset, hash })
    }
}

/// Formats the extension line.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} {} {}", self.first_seq, self.offset, self.hash)
    }
}

/// Parses decimal digits without leading zeros, of a number below 2^63, the limit of other implementations of the
/// format.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse::<i64>().ok().filter(|_| plain).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, seed: u8) -> SignerKey {
        SignerKey::from_seed(name, [seed; 32]).expect("a name")
    }

    fn sample() -> Checkpoint {
        let root = Hash::of(b"root");
        Checkpoint { origin: "memory-engine/0123".into(), size: 20_852_163, root, extensions: Vec::new() }
    }

    fn check_text(change: impl Fn(String) -> String, label: Result<(), &'static str>) {
        let (key, text) = (key("k", 1), change(sample().to_string()));
        let note = note::sign(&text, &[&key]).expect("any text can be a note");
        let keys = [key.verifier().clone()];
        let opened = Checkpoint::open(note.as_bytes(), &keys);
        let part = opened.map(|_| ()).map_err(|fault| match fault {
            CheckpointFault::Form(part) => part,
            CheckpointFault::Note(_) => "note",
        });
        assert_eq!(part, label, "{text}");
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed() {
        let key = key("memory-engine/0123", 7);
        for size in [0, 1, i64::MAX.unsigned_abs()] {
            let position = Position { first_seq: 11, offset: 0, hash: Hash::of(b"line") };
            let extensions = vec!["other".into(), position.to_string()];
            let checkpoint = Checkpoint { size, extensions, ..sample() };
            let note = checkpoint.sign(&[&key]).expect("it is whole");
            let keys = [key.verifier().clone()];
            assert_eq!(Checkpoint::open(note.as_bytes(), &keys), Ok((checkpoint.clone(), vec![&keys[0]])));
            assert_eq!(checkpoint.position(), Some(position));
        }
        assert_eq!(sample().position(), None);
    }

    /// The example in c2sp.org/tlog-checkpoint.
    #[test]
    fn the_published_text_is_read() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(text).expect("a checkpoint");
        assert_eq!(
            (checkpoint.size, checkpoint.origin.as_str()),
            (20_852_163, "example.com/behind-the-sofa")
        );
        assert_eq!(checkpoint.to_string(), text);
    }

    #[test]
    fn a_signed_text_of_another_form_is_refused() {
        check_text(|text| text, Ok(()));
        check_text(|text| text + "extension\n", Ok(()));
        check_text(|text| text + "extension\n\nafter an empty one\n", Err("extension"));
        check_text(|text| text + "\n", Err("extension"));
        check_text(|text| text + &"x\n".repeat(EXTENSIONS_MAX + 1), Err("extension"));
        check_text(|text| text.replace("memory-engine/", "memory engine/"), Err("origin"));
        check_text(|text| text.replace("memory-engine/", "memory+engine/"), Err("origin"));
        check_text(|text| text.replace("memory-engine/0123", ""), Err("origin"));
        for size in ["020852163", "+20852163", "-1", " 1", "1 ", "", "1e3", "٣", "9223372036854775808"] {
            check_text(|text| text.replace("20852163", size), Err("size"));
        }
        check_text(|text| text.replace("=\n", "\n"), Err("root"));
        check_text(|text| text.replace("=\n", "==\n"), Err("root"));
        check_text(|text| text.replace("\n20852163", ""), Err("size"));
        check_text(|_| "origin\n1\n".into(), Err("root"));
        check_text(|_| "origin\n1\nAAAA\n".into(), Err("root"));
    }

    #[test]
    fn base64_that_is_not_canonical_is_refused() {
        let text = sample().to_string();
        let last = text.find('=').expect("32 bytes end with a padding") - 1;
        let mut bytes = text.into_bytes();
        bytes[last] += 1;
        let text = String::from_utf8(bytes).expect("ASCII stays ASCII");
        assert_eq!(Checkpoint::parse(&text), Err(CheckpointFault::Form("root")));
    }

    #[test]
    fn what_would_not_be_read_is_not_signed() {
        let key = key("k", 1);
        let wrong = |checkpoint: Checkpoint| assert!(checkpoint.sign(&[&key]).is_err(), "{checkpoint}");
        wrong(Checkpoint { origin: "two\nlines".into(), ..sample() });
        wrong(Checkpoint { size: u64::MAX, ..sample() });
        wrong(Checkpoint { extensions: vec![String::new()], ..sample() });
        wrong(Checkpoint { extensions: vec!["two\nlines".into()], ..sample() });
        assert!(sample().sign(&[]).is_err());
    }

    #[test]
    fn when_the_key_changes_either_key_opens_the_checkpoint() {
        let (old, new) = (key("memory-engine/0123", 1), key("memory-engine/0123", 2));
        let note = sample().sign(&[&old, &new]).expect("it is whole");
        let open = |keys: &[VerifierKey]| Checkpoint::open(note.as_bytes(), keys).map(|(_, by)| by.len());
        let (old, new) = (old.verifier().clone(), new.verifier().clone());
        assert_eq!(open(std::slice::from_ref(&old)), Ok(1));
        assert_eq!(open(std::slice::from_ref(&new)), Ok(1));
        assert_eq!(open(&[old, new]), Ok(2));
        let stranger = key("memory-engine/0123", 3).verifier().clone();
        assert_eq!(open(&[stranger]), Err(CheckpointFault::Note(NoteFault::Unsigned)));
    }

    #[test]
    fn positions_have_one_spelling() {
        let hash = Hash::of(b"line");
        let position = Position { first_seq: 1, offset: 42, hash };
        assert_eq!(Position::parse(&position.to_string()), Some(position));
        for line in
            ["position 1 42", "position 01 42 H", "position 1 42 H more", "position 1  42 H", "place 1 42 H"]
        {
            assert_eq!(Position::parse(&line.replace('H', &hash.to_string())), None, "{line}");
        }
    }
}
