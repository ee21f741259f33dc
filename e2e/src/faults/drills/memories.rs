//! What clients were promised: which memories were acknowledged and when, and which were forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::super::dice::Dice;
use super::super::http::Connection;

/// What each text begins with. A number of fixed length follows, so that no text is the beginning of another.
const MARK: &str = "drill memory ";
const DIGITS: usize = 8;

/// Whether a memory was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgotten {
    No,
    /// It was asked for. Whether it was recorded, nobody knows yet, or keys may still be there.
    Asked,
    /// The engine has reported that it is gone.
    Done,
}

/// A memory that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) seq: u64,
    pub(super) acknowledged: Instant,
    pub(super) forgotten: Forgotten,
}

/// The text of the memory with this number.
fn text(number: u64) -> String {
    format!("{MARK}{number:0DIGITS$} was saved before the drill")
}

/// Saves memories with the numbers from `first` on in one request.
///
/// # Errors
/// The request was not answered, or not with success.
pub(super) fn save(connection: &mut Connection, first: u64, count: u64) -> Result<Vec<Memory>> {
    let memories: Vec<_> = (first..first + count).map(|number| json!({"content": text(number)})).collect();
    let body = json!({ "memories": memories }).to_string();
    let answer = connection.post("/v1/memories/batch", None, body.as_bytes())?.json()?;
    let acknowledged = Instant::now();
    let items = answer["items"].as_array().context("no items")?;
    let memory = |(number, item): (u64, &serde_json::Value)| {
        let id = item["id"].as_str().context("no id")?.to_owned();
        let seq = item["seq"].as_u64().context("no number")?;
        Ok(Memory { number, id, seq, acknowledged, forgotten: Forgotten::No })
    };
    (first..).zip(items).map(memory).collect()
}

/// Saves one memory after the other until the engine is gone or `stop` is set. Returns what was acknowledged, and the
/// number of the next memory: the last one may have been saved without an answer.
pub(super) fn save_until(
    api: SocketAddr,
    mut next: u64,
    mut dice: Dice,
    stop: &AtomicBool,
) -> (Vec<Memory>, u64) {
    let mut saved = Vec::new();
    let Ok(mut connection) = Connection::open(api) else { return (saved, next) };
    while !stop.load(Ordering::Acquire) {
        let made = save(&mut connection, next, 1);
        next += 1;
        let Ok(made) = made else { break };
        saved.extend(made);
        sleep(Duration::from_micros(500 + dice.below(4_000)));
    }
    (saved, next)
}

/// The numbers of the memories whose texts are anywhere in the files of a folder.
///
/// # Errors
/// A file cannot be read.
pub(super) fn found(folder: &Path) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("there is no {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(self::found(&path)?);
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "zst") {
            bail!("{} is compressed: texts in it would not be found", path.display());
        }
        found.extend(numbers_in(&fs::read(&path)?));
    }
    Ok(found)
}

/// The numbers of the memories whose texts are in these bytes.
pub(super) fn numbers_in(bytes: &[u8]) -> BTreeSet<u64> {
    let places = bytes.windows(MARK.len()).enumerate().filter(|(_, part)| *part == MARK.as_bytes());
    let digits = places.filter_map(|(place, _)| bytes.get(place + MARK.len()..place + MARK.len() + DIGITS));
    digits.filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        let line = format!("{{\"content\":\"{}\"}}\n{{\"content\":\"{}\"}}", text(7), text(12_345));
        fs::write(folder.path().join("log/1"), line).unwrap();
        fs::write(folder.path().join("other"), &text(3)[..MARK.len() + 4]).unwrap();
        assert_eq!(found(folder.path()).unwrap(), BTreeSet::from([7, 12_345]));
    }
}
