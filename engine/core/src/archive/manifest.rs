//! A backup: which pieces make the log up to an event, and what else belongs to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::{ManifestName, PieceName};
use crate::digest::Hash;

/// Name of the format of manifests.
pub const FORMAT: &str = "memory-archive/1 manifest";
/// Maximum length of a manifest, bytes. One of a log with a hundred thousand pieces has about twenty million.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;

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
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers are always JSON");
        bytes.push(b'\n');
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
        let form = |fault: serde_json::Error| ManifestFault::Form(fault.to_string());
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(form)?;
        if format != FORMAT {
            return Err(ManifestFault::Format(format));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(form)?;
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
