//! Archives of every released format, which must stay readable forever, and a reader in another language.
//! `UPDATE=1 cargo test -p engine-core` writes the archives of a format that is not released yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine_core::archive::cipher::{PayloadKey, WRAPPING_NONCE_BYTES, WrappingKey};
use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::{Extent, FenceName, PieceName};
use engine_core::archive::piece::{Piece, make};
use engine_core::archive::route::route;
use engine_core::digest::{Hash, hex};
use engine_core::format::segment_file_name;

use crate::log::{Log, lines};

/// The key-encryption key of the archive `wrapped`.
const KEY: [u8; 32] = [0x5a; 32];
const FORGETTING: &str = "ffffffffffffffffffffffffffffffff";

fn wrapping(kind: &str) -> Option<WrappingKey> {
    (kind == "wrapped").then_some(WrappingKey(KEY))
}

/// A log with short and long payloads, in two segments.
fn log() -> Log {
    let long = format!("{{\"content\":\"{}\"}}", "the kettle is on the stove; ".repeat(40));
    Log::new().group(&[&["{\"a\":1}"], &[&long, "{}"]]).rotate().group(&[&["{\"b\":2}"], &[&long]])
}

/// Writes objects of an archive.
struct Writer<'a> {
    store: &'a Path,
    kind: &'a str,
    log_id: String,
    keys: u8,
}

impl Writer<'_> {
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.store.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn piece(&mut self, extent: Extent, epoch: u64, lines: &[u8], forgotten: Option<usize>) {
        let key = || {
            self.keys += 1;
            PayloadKey([self.keys; 32])
        };
        let mut made = make(extent, &self.log_id, epoch, lines, key).unwrap();
        let forgotten: Vec<_> = forgotten.into_iter().map(|place| (place, FORGETTING.to_owned())).collect();
        made.keys.forget(&forgotten);
        self.put(&made.name.to_string(), &made.bytes);
        let key = wrapping(self.kind);
        let nonce = [self.keys; WRAPPING_NONCE_BYTES];
        self.put(&made.name.keys(), &made.keys.encode(key.as_ref().map(|key| (key, nonce))));
    }
}

/// An archive of [`log`]: a sealed segment and the tails that it replaced, of which one payload is forgotten, a tail of
/// a writer that has a successor, and one of the successor.
fn write(store: &Path, kind: &str) {
    let log = log();
    let segments = log.segments();
    let log_id = serde_json::from_slice::<serde_json::Value>(lines(&segments[0].1)[0]).unwrap();
    let log_id = log_id["header"]["log_id"].as_str().unwrap().to_owned();
    let mut writer = Writer { store, kind, log_id, keys: 0 };
    let (sealed, active) = (lines(&segments[0].1), lines(&segments[1].1));
    writer.piece(Extent::Tail, 1, &sealed[..2].concat(), None);
    writer.piece(Extent::Tail, 1, &sealed[2..4].concat(), None);
    writer.piece(Extent::Segment, 1, &segments[0].1, Some(1));
    writer.piece(Extent::Tail, 1, &active[..3].concat(), None);
    writer.piece(Extent::Tail, 2, &active[..2].concat(), None);
    writer.piece(Extent::Tail, 2, &active[2..].concat(), None);
    let last = Hash::of(b"the line that the writer took over").into();
    writer.put(&FenceName { seq: 3, epoch: 2, last }.to_string(), b"");
}

fn names(store: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(store.join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    names.sort();
    names
}

/// The segments that the engine's code reads from an archive.
fn read(store: &Path, kind: &str) -> BTreeMap<String, Vec<u8>> {
    let pieces = [names(store, "segments"), names(store, "tails")].concat();
    let pieces: Vec<PieceName> = pieces.iter().map(|name| PieceName::parse(name).unwrap()).collect();
    let fences: Vec<FenceName> =
        names(store, "fences").iter().map(|name| FenceName::parse(name).unwrap()).collect();
    let (mut segments, mut current): (BTreeMap<String, Vec<u8>>, String) = (BTreeMap::new(), String::new());
    for name in route(&pieces, &fences).pieces {
        let bytes = fs::read(store.join(name.to_string())).unwrap();
        let header: serde_json::Value =
            serde_json::from_slice(bytes.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
        let piece = Piece::decode(&name, header["log_id"].as_str().unwrap(), &bytes).unwrap();
        let table = fs::read(store.join(name.keys())).unwrap();
        let table = KeyTable::decode(&table, &name.sha256, wrapping(kind).as_ref()).unwrap();
        if piece.begins_segment().is_some() {
            current = segment_file_name(name.first_seq);
        }
        piece.restore(&table, u64::MAX, segments.entry(current.clone()).or_default()).unwrap();
    }
    segments
}

/// The segments that the program in the document reads from an archive, or what it says.
fn read_independently(store: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ARCHIVE-FORMAT.md");
    let document = fs::read_to_string(document).expect("the document is in the repository");
    let program = document.split("```python\n").nth(1).expect("the document has the program");
    let (program, _) = program.split_once("```").expect("which ends");
    assert!(program.lines().count() <= 110, "the program must stay short");
    let directory = tempfile::tempdir().unwrap();
    let (path, to) = (directory.path().join("read.py"), directory.path().join("log"));
    fs::write(&path, program).unwrap();
    fs::create_dir(&to).unwrap();
    let arguments = [path.as_os_str(), store.as_os_str(), to.as_os_str()];
    let ran = Command::new("python3").args(arguments).arg(hex(&KEY)).output().expect("python3 exists");
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    if !ran.status.success() {
        return Err(said);
    }
    let files = fs::read_dir(&to).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    });
    Ok(files.collect())
}

/// [`log`], with the payload that the archive has forgotten left out.
fn expected() -> BTreeMap<String, Vec<u8>> {
    let mut segments: BTreeMap<String, Vec<u8>> =
        log().segments().into_iter().map(|(first, bytes)| (segment_file_name(first), bytes)).collect();
    let first = segments.first_entry().unwrap().into_mut();
    let text = String::from_utf8(first.clone()).unwrap();
    let line = text.lines().nth(2).unwrap();
    let (kept, _) = line.split_once("\",\"salt\":\"").unwrap();
    let forgotten = format!("{kept}\",\"forgotten\":\"{FORGETTING}\"}}");
    *first = text.replace(line, &forgotten).into_bytes();
    segments
}

#[test]
fn an_archive_of_today_is_read_by_an_independent_reader() {
    for kind in ["plain", "wrapped"] {
        let store = tempfile::tempdir().unwrap();
        write(store.path(), kind);
        assert_eq!(read(store.path(), kind), expected(), "{kind}");
        assert_eq!(read_independently(store.path()), Ok(expected()), "{kind}");
        // A changed byte of a piece, of a key, and of a table is noticed.
        let segment = names(store.path(), "segments").remove(0);
        let table = PieceName::parse(&segment).unwrap().keys();
        for name in [segment, table] {
            let path = store.path().join(&name);
            let bytes = fs::read(&path).unwrap();
            let mut changed = bytes.clone();
            let place = changed.len() - 5;
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            let said = read_independently(store.path()).unwrap_err();
            assert!(said.contains("changed") || said.contains("verify"), "{name}: {said}");
            fs::write(&path, &bytes).unwrap();
        }
    }
}

fn fixture(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive-v1").join(kind)
}

#[test]
fn archives_of_the_first_format_stay_readable() {
    for kind in ["plain", "wrapped"] {
        let store = fixture(kind);
        if std::env::var_os("UPDATE").is_some() {
            write(&store, kind);
        }
        assert_eq!(read(&store, kind), expected(), "{kind}");
        assert_eq!(read_independently(&store), Ok(expected()), "{kind}");
    }
}
