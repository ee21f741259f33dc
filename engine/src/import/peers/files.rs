//! Finds the files of a product's store.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use engine_core::limits::{IMPORT_DEPTH_MAX, IMPORT_FILES_MAX};
use serde::Serialize;

use super::product::Product;

/// The first bytes of every SQLite database.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// The files that were found, and the files that were skipped.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    pub(super) skipped: Vec<Skipped>,
}

/// One file to import.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Path of the file relative to the named directory, with forward slashes.
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A text that is read as a whole.
    Text,
    /// A text that is read line by line.
    Lines,
    Database,
}

/// A file that is not imported.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    file: PathBuf,
    reason: &'static str,
}

/// Finds the files to import. If `from` is a file, it is always imported. If it is a directory, only the files that the
/// product itself writes are imported.
pub(super) fn find(product: Product, from: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    if fs::metadata(from)?.is_dir() {
        walk(product, from, "", 0, &mut found)?;
        return Ok(found);
    }
    let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kind = kind(product, from)?;
    found.sources.push(Source { path: from.to_owned(), name, kind });
    Ok(found)
}

fn walk(product: Product, directory: &Path, below: &str, depth: usize, found: &mut Found) -> io::Result<()> {
    let mut paths =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let part = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if below.is_empty() { part.clone() } else { format!("{below}/{part}") };
        let what = fs::symlink_metadata(&path)?.file_type();
        let reason = if what.is_symlink() {
            // A symbolic link may point anywhere and form a cycle.
            Some("a symbolic link")
        } else if part.starts_with('.') {
            Some("hidden")
        } else if what.is_dir() && product != Product::BasicMemory {
            Some("a directory: import it with a command of its own, or export its content")
        } else if what.is_dir() && depth + 1 >= IMPORT_DEPTH_MAX {
            Some("too deep")
        } else if what.is_dir() {
            walk(product, &path, &name, depth + 1, found)?;
            continue;
        } else if !what.is_file() {
            Some("not a regular file")
        } else {
            unwanted(product, &path)
        };
        match reason {
            Some(reason) => found.skipped.push(Skipped { file: path, reason }),
            None => found.sources.push(Source { kind: kind(product, &path)?, path, name }),
        }
        if found.sources.len() + found.skipped.len() > IMPORT_FILES_MAX {
            return Err(io::Error::other(format!("more than {IMPORT_FILES_MAX} files: import it in parts")));
        }
    }
    Ok(())
}

/// Returns why a file in a directory is skipped; `None` for a file that the product writes.
fn unwanted(product: Product, path: &Path) -> Option<&'static str> {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let (endings, reason): (&[&str], _) = match product {
        Product::ServerMemory => (&["jsonl", "json"][..], "not named *.jsonl or *.json"),
        Product::Mem0 => (&["json", "jsonl", "db", "sqlite", "sqlite3"][..], "neither JSON nor a database"),
        Product::BasicMemory => (&["md", "markdown"][..], "not named *.md"),
    };
    let settings = product == Product::Mem0 && path.file_name() == Some(OsStr::new("config.json"));
    if settings {
        return Some("settings, not memories");
    }
    (!endings.contains(&ending.as_str())).then_some(reason)
}

fn kind(product: Product, path: &Path) -> io::Result<Kind> {
    let mut start = Vec::new();
    File::open(path)?.take(DATABASE.len() as u64).read_to_end(&mut start)?;
    let lines = path.extension() == Some(OsStr::new("jsonl")) || product == Product::ServerMemory;
    Ok(match product {
        _ if start == DATABASE => Kind::Database,
        Product::BasicMemory => Kind::Text,
        _ if lines => Kind::Lines,
        _ => Kind::Text,
    })
}
