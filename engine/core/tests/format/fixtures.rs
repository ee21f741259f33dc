//! Logs of every released format, which must stay readable forever. `UPDATE=1 cargo test -p engine-core` writes the
//! logs of a format that is not released yet.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use engine_core::checkpoint::{Checkpoint, Position, origin};
use engine_core::digest::Hash;
use engine_core::format::segment_file_name;
use engine_core::frames::{Frame, FrameIndex};
use engine_core::merkle::{
    Frontier, consistency_proof, inclusion_proof, leaf, verify_consistency, verify_inclusion,
};
use engine_core::note::{SignerKey, VerifierKey};
use engine_core::recovery::{Verdict, scan};
use serde::{Deserialize, Serialize};

use crate::log::{Log, lines, long_sample, sample};
use crate::segments::{audit, labels, read};
use crate::single::judge;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-v1")
}

/// Compares bytes with the fixture `name`, or stores them as this fixture if `UPDATE` is set.
pub(crate) fn current(name: &str, bytes: &[u8]) {
    let path = fixtures().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let stored = fs::read(&path).expect("the fixture is in the repository");
    assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(bytes), "{name}");
}

/// The stored log can be read, and the engine still writes the same bytes.
#[test]
fn the_fixture_is_read_and_written() {
    let stored = fs::read(fixtures().join(segment_file_name(1))).expect("the fixture is in the repository");
    assert_eq!(judge(&stored).verdict, Verdict::Clean);
    assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(&sample().bytes));
    let mut payloads = Vec::new();
    scan(stored.as_slice(), |found| payloads.push(found.event.payload().unwrap().to_owned())).unwrap();
    assert_eq!(payloads[1], r#"{"n":1.50}"#);
}

/// A proof, in the form in which the engine serves it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inclusion {
    pub(crate) seq: u64,
    pub(crate) hash: String,
    pub(crate) index: u64,
    pub(crate) size: u64,
    pub(crate) proof: Vec<String>,
    pub(crate) checkpoint: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Consistency {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) from_root: String,
    pub(crate) to_root: String,
    pub(crate) proof: Vec<String>,
}

fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed(&origin("0123456789abcdef0123456789abcdef"), [seed; 32]).unwrap()
}

fn checkpoint(log: &Log) -> Checkpoint {
    let position =
        Position { first_seq: log.header.prev_seq + 1, offset: log.bytes.len() as u64, hash: log.link.hash };
    Checkpoint {
        origin: origin(&log.header.log_id),
        size: log.link.seq,
        root: log.tree.root(),
        extensions: vec![position.to_string()],
    }
}

fn hashes(log: &Log) -> Vec<Hash> {
    let mut hashes = Vec::new();
    for (_, bytes) in log.segments() {
        let survey = engine_core::recovery::survey(bytes.as_slice(), |found| hashes.push(found.event.hash));
        assert_eq!(survey.unwrap().breaches.count, 0);
    }
    hashes
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap();
    bytes.push(b'\n');
    bytes
}

fn text(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}

#[test]
fn the_fixture_of_several_segments_is_read_and_written() {
    let log = long_sample();
    for (first_seq, bytes) in log.segments() {
        current(&format!("segments/log/{}", segment_file_name(first_seq)), &bytes);
    }
    let tree: Vec<u8> = log.stored.iter().flat_map(|hash| hash.0).collect();
    let tree_path = fixtures().join("segments/log/tree");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&tree_path, &tree).unwrap();
    }
    assert_eq!(fs::read(tree_path).unwrap(), tree);
    let note = checkpoint(&log).sign(&[&key(1)]).unwrap();
    current("segments/log/checkpoint", note.as_bytes());
    current("segments/key", format!("{}\n", key(1).verifier()).as_bytes());
    let stored = |position: u64| Ok::<_, Infallible>(log.stored[usize::try_from(position).unwrap()]);
    let size = log.link.seq;
    let inclusions: Vec<Inclusion> = (0..size)
        .zip(hashes(&log))
        .map(|(index, hash)| {
            let Ok(proof) = inclusion_proof(index, size, stored);
            let proof = proof.unwrap();
            assert_eq!(verify_inclusion(&leaf(&hash), index, size, &proof, &log.tree.root()), Ok(()));
            let (seq, hash) = (index + 1, hash.to_string());
            Inclusion { seq, hash, index, size, proof: text(&proof), checkpoint: note.clone() }
        })
        .collect();
    current("segments/inclusion.json", &json(&inclusions));
    let root = |size| Frontier::load(size, stored).unwrap().root();
    let consistencies: Vec<Consistency> = (1..=size)
        .map(|from| {
            let Ok(proof) = consistency_proof(from, size, stored);
            let (proof, from_root, to_root) = (proof.unwrap(), root(from), root(size));
            assert_eq!(verify_consistency(from, &from_root, size, &to_root, &proof), Ok(()));
            let (from_root, to_root) = (from_root.to_string(), to_root.to_string());
            Consistency { from, to: size, from_root, to_root, proof: text(&proof) }
        })
        .collect();
    current("segments/consistency.json", &json(&consistencies));
}

#[test]
fn the_stored_fixture_verifies_by_itself() {
    let directory = fixtures().join("segments/log");
    let segments: Vec<(u64, Vec<u8>)> = [1, 8, 10]
        .map(|first_seq| (first_seq, fs::read(directory.join(segment_file_name(first_seq))).unwrap()))
        .to_vec();
    let joined = audit(&segments);
    assert_eq!((labels(&joined), joined.events, joined.forgotten), (Vec::new(), 13, 1));
    assert!(read(&segments).0.iter().all(|scan| scan.verdict == Verdict::Clean));
    let key = fs::read_to_string(fixtures().join("segments/key")).unwrap();
    let keys = [VerifierKey::parse(key.trim_end()).unwrap()];
    let (checkpoint, _) = Checkpoint::open(&fs::read(directory.join("checkpoint")).unwrap(), &keys).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (13, joined.tree.unwrap().root()));
    let position = checkpoint.position().unwrap();
    assert_eq!((position.first_seq, position.offset), (10, segments[2].1.len() as u64));
    assert_eq!(position.hash, joined.head.unwrap().hash);
    let tree = fs::read(directory.join("tree")).unwrap();
    let at = |position: u64| {
        let start = usize::try_from(position).unwrap() * 32;
        Ok::<_, Infallible>(Hash(tree[start..start + 32].try_into().unwrap()))
    };
    assert_eq!(engine_core::merkle::root_at(13, at), Ok(checkpoint.root));
}

/// Frames of a few lines. A compressor's output may change between versions, so the compressed file is stored once.
#[test]
fn the_compressed_fixture_gives_its_segment_back() {
    let path = fixtures().join("segments/compressed").join(segment_file_name(1) + ".zst");
    let raw = long_sample().sealed[0].1.clone();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, compressed(&raw)).unwrap();
    }
    let file = fs::read(path).unwrap();
    let (index, end) = FrameIndex::decode(&file, file.len() as u64).unwrap();
    assert_eq!((index.frames.len(), index.lines, index.raw_bytes), (3, 9, raw.len() as u64));
    let cut = |bytes: &[u8], range: &std::ops::Range<u64>| {
        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
    };
    let mut firsts = BTreeMap::new();
    for span in index.spans(end) {
        let frame = zstd::bulk::decompress(&cut(&file, &span.file), 1 << 20).unwrap();
        assert_eq!(frame, cut(&raw, &span.raw));
        firsts.insert(span.first_seq, frame);
    }
    let span = index.frame_of(5, end).unwrap();
    assert!(String::from_utf8_lossy(&firsts[&span.first_seq]).contains("\"seq\":5,"));
    assert_eq!(zstd::decode_all(file.as_slice()).unwrap(), raw, "any decompressor restores it");
}

fn compressed(raw: &[u8]) -> Vec<u8> {
    let (mut frames, mut file, mut raw_offset) = (Vec::new(), Vec::new(), 0);
    for (i, part) in lines(raw).chunks(3).enumerate() {
        let part = part.concat();
        let first_seq = if i == 0 { 1 } else { 3 * i as u64 };
        frames.push(Frame { first_seq, raw_offset, file_offset: file.len() as u64 });
        let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
        compressor.include_checksum(true).unwrap();
        file.extend(compressor.compress(&part).unwrap());
        raw_offset += part.len() as u64;
    }
    let lines = lines(raw).len() as u64;
    file.extend(FrameIndex { frames, raw_bytes: raw.len() as u64, lines }.encode());
    file
}
