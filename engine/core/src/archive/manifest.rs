//! A backup: which pieces make the log up to an event, and what else belongs to it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::{ManifestName, PieceName};
use crate::digest::Hash;

/// Name of the format of manifests.
pub const FORMAT: &str = "memory-archive/1 manifest";
/// Maximum length of a manifest, bytes, stored and decompressed. One of a log with a hundred thousand pieces has about
/// twenty million before it is compressed.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// Compression level. Most of a manifest are hashes and names with the same hashes: higher levels gain little.
const LEVEL: i32 = 3;
/// What every zstd frame begins with. JSON begins with a brace.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An object of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name below the folder of the log.
    pub name: String,
    /// Its SHA-256.
    pub sha256: Hash,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Digest of the rows of the projection of a log. Projections of one version have equal rows at the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionDigest {
    /// Version of the projection.
    pub version: u32,
    /// Digest of its rows.
    pub digest: Hash,
}

/// A backup of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Id of the log.
    pub log_id: String,
    /// Epoch of the writer that took the backup.
    pub epoch: u64,
    /// When it was taken.
    pub created: Timestamp,
    /// Version of the engine that took it.
    pub engine: String,
    /// Number of events.
    pub size: u64,
    /// Root of the tree over these events.
    pub root: Hash,
    /// Hash of the last event.
    pub head: Hash,
    /// The signed checkpoint of this size, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The pieces, in the order of the log.
    pub pieces: Vec<Object>,
    /// The keys of the volume: with what checkpoints are signed and identifiers are made pseudonyms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_keys: Option<Object>,
    /// The configuration of the engine, for people. A restore takes the one that it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// Digest of the projection at exactly the last event, if the engine knew it: a check compares it with what the
    /// restored log gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection_digest: Option<ProjectionDigest>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Its bytes are not those of which its name has the hash.
    #[error("its SHA-256 is not the one in its name: it was changed")]
    Changed,
    /// It has not the form.
    #[error("it is no manifest: {0}")]
    Form(String),
    /// Another version of the format.
    #[error("its format is {0:?}, and this engine reads {FORMAT:?}: use a newer engine")]
    Format(String),
    /// It contradicts its name, or its pieces do not follow one another.
    #[error("{0} contradicts the rest of it")]
    Contradiction(&'static str),
}

impl Manifest {
    /// The object and its name.
    pub fn encode(&self) -> (ManifestName, Vec<u8>) {
        let text = serde_json::to_vec(self).expect("strings and numbers are always JSON");
        let bytes = zstd::bulk::compress(&text, LEVEL).expect("memory takes any length of text");
        let sha256 = Hash::of(&bytes);
        (ManifestName { size: self.size, epoch: self.epoch, sha256 }, bytes)
    }

    /// Reads the object with this name, of the log `log_id`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(name: &ManifestName, log_id: &str, bytes: &[u8]) -> Result<Manifest, ManifestFault> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: String,
        }
        if Hash::of(bytes) != name.sha256 {
            return Err(ManifestFault::Changed);
        }
        let decompressed = decompressed(bytes)?;
        let form = |fault: serde_json::Error| ManifestFault::Form(fault.to_string());
        let FormatOnly { format } = serde_json::from_slice(&decompressed).map_err(form)?;
        if format != FORMAT {
            return Err(ManifestFault::Format(format));
        }
        let manifest: Manifest = serde_json::from_slice(&decompressed).map_err(form)?;
        manifest.check(name, log_id)?;
        Ok(manifest)
    }

    fn check(&self, name: &ManifestName, log_id: &str) -> Result<(), ManifestFault> {
        let contradiction = |part| Err(ManifestFault::Contradiction(part));
        if self.log_id != log_id {
            return contradiction("log_id");
        }
        if (self.size, self.epoch) != (name.size, name.epoch) {
            return contradiction("its name");
        }
        let names = self.piece_names().ok_or(ManifestFault::Contradiction("the name of a piece"))?;
        let follow = names
            .windows(2)
            .all(|pair| pair[0].last_seq + 1 == pair[1].first_seq && pair[0].last == pair[1].prev);
        let begins = names.first().map_or(self.size == 0, |first| first.first_seq == 1);
        let ends = names.last().map_or(self.size == 0, |last| last.last_seq >= self.size);
        if !(follow && begins && ends) {
            return contradiction("the order of the pieces");
        }
        Ok(())
    }

    /// The names of the pieces; `None` if one of them is no name of a piece, or not the one of its hash.
    pub fn piece_names(&self) -> Option<Vec<PieceName>> {
        let of = |object: &Object| PieceName::parse(&object.name).filter(|name| name.sha256 == object.sha256);
        self.pieces.iter().map(of).collect()
    }
}

/// The JSON of a manifest. Those of the first engines were stored as they are.
fn decompressed(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ManifestFault> {
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    let text = zstd::bulk::decompress(bytes, MANIFEST_BYTES_MAX);
    text.map(Cow::Owned).map_err(|fault| ManifestFault::Form(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::name::Extent;

    const PIECES: u64 = 600;

    /// A backup of a log with many small pieces, as the archive stores every ten seconds.
    fn manifest() -> Manifest {
        let hash = |seq: u64| Hash::of(&seq.to_le_bytes());
        let last = |seq: u64| if seq == 0 { Hash::ZERO } else { hash(seq) };
        let piece = |seq: u64| {
            let sha256 = hash(seq + PIECES);
            let name = PieceName {
                extent: Extent::Tail,
                first_seq: seq,
                last_seq: seq,
                epoch: 1,
                prev: last(seq - 1).into(),
                last: last(seq).into(),
                sha256,
            };
            Object { name: name.to_string(), sha256, bytes: 400 + seq }
        };
        Manifest {
            format: FORMAT.to_owned(),
            log_id: "a".repeat(32),
            epoch: 1,
            created: Timestamp::UNIX_EPOCH,
            engine: "0.1.0".to_owned(),
            size: PIECES,
            root: hash(0),
            head: hash(PIECES),
            checkpoint: None,
            pieces: (1..=PIECES).map(piece).collect(),
            volume_keys: None,
            configuration: None,
            projection_digest: None,
        }
    }

    #[test]
    fn a_manifest_of_many_pieces_is_small_and_is_read_as_it_was() {
        let (name, bytes) = manifest().encode();
        assert!(bytes.len() < 64 << 10, "{} bytes", bytes.len());
        assert_eq!(Manifest::decode(&name, &"a".repeat(32), &bytes), Ok(manifest()));
    }

    #[test]
    fn a_manifest_that_was_stored_as_text_is_read() {
        let bytes = serde_json::to_vec_pretty(&manifest()).unwrap();
        let name = ManifestName { size: PIECES, epoch: 1, sha256: Hash::of(&bytes) };
        assert_eq!(Manifest::decode(&name, &"a".repeat(32), &bytes), Ok(manifest()));
    }

    #[test]
    fn a_manifest_that_was_cut_or_is_too_large_is_refused() {
        let (_, whole) = manifest().encode();
        let bomb = zstd::bulk::compress(&vec![b' '; MANIFEST_BYTES_MAX + 1], LEVEL).unwrap();
        for bytes in [&whole[..whole.len() / 2], &bomb] {
            let name = ManifestName { size: PIECES, epoch: 1, sha256: Hash::of(bytes) };
            let refused = Manifest::decode(&name, &"a".repeat(32), bytes);
            assert!(matches!(refused, Err(ManifestFault::Form(_))), "{refused:?}");
        }
    }
}
