//! What an engine stores in an archive, format `memory-archive/1`: pieces of the log whose payloads are encrypted, the
//! tables with the keys of the payloads, and manifests of backups. docs/ARCHIVE-FORMAT.md specifies the bytes.
//!
//! [`name`] has the names of the objects; [`piece`] and [`key_table`] their contents; [`cipher`] encrypts; [`manifest`]
//! describes a backup, and [`volume_keys`] the keys of a volume; [`route`] finds the pieces that make a log again, and
//! [`continuation`](mod@continuation) those that a copy lacks.
//! [`retention`] decides what may be removed, and [`boundary`] has the objects that announce it and those of readers.

pub mod boundary;
pub mod cipher;
pub mod continuation;
pub mod key_table;
pub mod manifest;
pub mod name;
pub mod piece;
pub mod retention;
pub mod route;
pub mod volume_keys;
