//! Names of the objects of an archive. A name says what an object is and carries its hash, so that an object is never
//! overwritten by another one, and a list of names is enough to find the way through a log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{Hash, hex, is_id};

/// Length of the part of a hash that is in a name, bytes.
const SHORT_BYTES: usize = 8;
/// Digits of a sequence number.
const SEQ_DIGITS: usize = 20;
/// Digits of an epoch.
const EPOCH_DIGITS: usize = 10;

/// The first bytes of a hash. It tells the branches of one log apart; the complete hash is in the object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortHash([u8; SHORT_BYTES]);

impl ShortHash {
    /// The beginning of the hash before the first line of a log.
    pub const ZERO: ShortHash = ShortHash([0; SHORT_BYTES]);

    fn parse(text: &str) -> Option<ShortHash> {
        let digits = text.len() == 2 * SHORT_BYTES
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let bytes = u64::from_str_radix(text, 16).ok().filter(|_| digits)?;
        Some(ShortHash(bytes.to_be_bytes()))
    }
}

impl From<Hash> for ShortHash {
    fn from(hash: Hash) -> ShortHash {
        let mut short = [0; SHORT_BYTES];
        short.copy_from_slice(&hash.0[..SHORT_BYTES]);
        ShortHash(short)
    }
}

impl fmt::Display for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Of what a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Of a segment that is sealed. Such pieces stay as long as a backup has them.
    Segment,
    /// Of the segment that is being written. Once it is sealed, larger pieces take the place of these.
    Tail,
}

impl Extent {
    /// The folder of such pieces.
    pub fn folder(self) -> &'static str {
        match self {
            Extent::Segment => "segments",
            Extent::Tail => "tails",
        }
    }
}

/// The name of a piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceName {
    /// Of what it is.
    pub extent: Extent,
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of its last event.
    pub last_seq: u64,
    /// Epoch of the writer that stored it.
    pub epoch: u64,
    /// Hash of the line before its first line.
    pub prev: ShortHash,
    /// Hash of its last line.
    pub last: ShortHash,
    /// SHA-256 of the object.
    pub sha256: Hash,
}

impl PieceName {
    /// Parses a name, from its folder on. `None` for any other name.
    pub fn parse(name: &str) -> Option<PieceName> {
        let (folder, rest) = name.split_once('/')?;
        let extent = [Extent::Segment, Extent::Tail].into_iter().find(|extent| extent.folder() == folder)?;
        let parts: [&str; 6] = rest.split('-').collect::<Vec<_>>().try_into().ok()?;
        let [first, last, epoch, prev, end, sha256] = parts;
        let piece = PieceName {
            extent,
            first_seq: number(first, SEQ_DIGITS)?,
            last_seq: number(last, SEQ_DIGITS)?,
            epoch: number(epoch, EPOCH_DIGITS)?,
            prev: ShortHash::parse(prev)?,
            last: ShortHash::parse(end)?,
            sha256: Hash::from_hex(sha256.as_bytes())?,
        };
        (piece.first_seq > 0 && piece.first_seq <= piece.last_seq).then_some(piece)
    }

    /// The name of the table with the keys of its payloads.
    pub fn keys(&self) -> String {
        format!("keys/{}", self.sha256)
    }
}

impl fmt::Display for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PieceName { extent, first_seq, last_seq, epoch, prev, last, sha256 } = self;
        let folder = extent.folder();
        write!(f, "{folder}/{first_seq:020}-{last_seq:020}-{epoch:010}-{prev}-{last}-{sha256}")
    }
}

/// The name of a manifest. Manifests sort by the number of events that they cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestName {
    /// Number of events that the backup has.
    pub size: u64,
    /// Epoch of the writer that took it.
    pub epoch: u64,
    /// SHA-256 of the object.
    pub sha256: Hash,
}

impl ManifestName {
    /// The folder of manifests.
    pub const FOLDER: &str = "manifests";

    /// Parses a name, from its folder on. `None` for any other name.
    pub fn parse(name: &str) -> Option<ManifestName> {
        let rest = name.strip_prefix(Self::FOLDER)?.strip_prefix('/')?;
        let parts: [&str; 3] = rest.split('-').collect::<Vec<_>>().try_into().ok()?;
        let [size, epoch, sha256] = parts;
        Some(ManifestName {
            size: number(size, SEQ_DIGITS)?,
            epoch: number(epoch, EPOCH_DIGITS)?,
            sha256: Hash::from_hex(sha256.as_bytes())?,
        })
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManifestName { size, epoch, sha256 } = self;
        write!(f, "{}/{size:020}-{epoch:010}-{sha256}", Self::FOLDER)
    }
}

/// The name of a fence: where a writer took over. What writers before it stored of later events is of a branch that the
/// log has left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FenceName {
    /// Number of the last event that the writer took over.
    pub seq: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Hash of the last line that it took over.
    pub last: ShortHash,
}

impl FenceName {
    /// The folder of fences.
    pub const FOLDER: &str = "fences";

    /// Parses a name, from its folder on. `None` for any other name.
    pub fn parse(name: &str) -> Option<FenceName> {
        let rest = name.strip_prefix(Self::FOLDER)?.strip_prefix('/')?;
        let parts: [&str; 3] = rest.split('-').collect::<Vec<_>>().try_into().ok()?;
        let [seq, epoch, last] = parts;
        Some(FenceName {
            seq: number(seq, SEQ_DIGITS)?,
            epoch: number(epoch, EPOCH_DIGITS)?,
            last: ShortHash::parse(last)?,
        })
    }
}

impl fmt::Display for FenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FenceName { seq, epoch, last } = self;
        write!(f, "{}/{seq:020}-{epoch:010}-{last}", Self::FOLDER)
    }
}

/// The folder of all objects of a log, below the prefix of the archive.
pub fn folder_of(log_id: &str) -> Option<String> {
    is_id(log_id).then(|| log_id.to_owned())
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        let piece = PieceName {
            extent: Extent::Tail,
            first_seq: 3,
            last_seq: u64::MAX,
            epoch: 7,
            prev: Hash::of(b"a").into(),
            last: Hash::of(b"b").into(),
            sha256: Hash::of(b"c"),
        };
        let name = piece.to_string();
        assert_eq!(PieceName::parse(&name), Some(piece.clone()));
        assert_eq!(piece.keys(), format!("keys/{}", Hash::of(b"c")));
        let manifest = ManifestName { size: 12, epoch: 1, sha256: Hash::of(b"d") };
        assert_eq!(ManifestName::parse(&manifest.to_string()), Some(manifest));
        let reversed = PieceName { first_seq: 5, last_seq: 4, ..piece };
        for wrong in [
            name.replace("tails", "tail"),
            name.replace("tails/", "tails//"),
            name.replacen("0", "", 1),
            name.replacen("0", "+", 1),
            name.to_uppercase(),
            format!("{name}-"),
            format!("{name}.tmp"),
            reversed.to_string(),
        ] {
            assert_eq!(PieceName::parse(&wrong), None, "{wrong}");
        }
        assert_eq!(ManifestName::parse("manifests/1-2-3"), None);
        let fence = FenceName { seq: 4, epoch: 2, last: Hash::of(b"e").into() };
        assert_eq!(FenceName::parse(&fence.to_string()), Some(fence));
    }

    #[test]
    fn names_sort_by_number() {
        let name = |first_seq| {
            PieceName {
                extent: Extent::Segment,
                first_seq,
                last_seq: first_seq,
                epoch: 1,
                prev: ShortHash::ZERO,
                last: ShortHash::ZERO,
                sha256: Hash::ZERO,
            }
            .to_string()
        };
        assert!(name(9) < name(10) && name(10) < name(100_000_000_000));
    }
}
