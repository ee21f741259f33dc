//! One fuzz function per parser, with the invariants that must hold for any input. A panic is a finding.
//!
//! Random bytes never have a valid hash. Most functions therefore add the correct hash to their input; the others
//! modify a valid file.

use engine_core::checkpoint::Checkpoint;
use engine_core::digest::{Hash, Salt};
use engine_core::format::{Body, Envelope, EventLine, Header, Seal, forget};
use engine_core::frames::FrameIndex;
use engine_core::merkle::{self, Frontier};
use engine_core::note::{self, SignerKey};
use engine_core::recovery::{self, Verdict};
use engine_core::wire::{AppendEvents, GivenAnchor, SaveMemory};
use engine_core::{limits, request, strict, zaxy};
use serde_json::Value;

const SEGMENT: &[u8] =
    include_bytes!("../../engine/core/tests/fixtures/format-v1/00000000000000000001.jsonl");
const ID: &str = "0123456789abcdef0123456789abcdef";

/// Decodes `line` as an event line. If the payload of a valid line is forgotten, its hash must stay the same.
pub fn event_line(line: &[u8]) {
    let Ok(event) = EventLine::decode(line) else { return };
    let forgotten = forget(line, ID).expect("a valid line can be forgotten");
    let again = EventLine::decode(&forgotten).expect("a forgotten line is valid");
    assert_eq!((again.hash, &again.envelope), (event.hash, &event.envelope));
    assert!(matches!(again.body, Body::Forgotten { .. }));
    assert_eq!(forget(&forgotten, ID).as_deref(), Ok(forgotten.as_slice()));
}

/// Builds an event line from an envelope and a payload, which a line feed separates in `data`. The line has the correct
/// hash and commitment. The fast parser and serde must agree, and accepted input must be valid JSON.
pub fn envelope(data: &[u8]) {
    let Some((envelope, payload)) = parted(data) else { return };
    // The correct commitment replaces the word `COMMITMENT`, because fuzzing cannot guess it.
    let commitment = Hash::salted(Salt([0; 16]), payload).to_string();
    let envelope = String::from_utf8_lossy(envelope).replace("COMMITMENT", &commitment);
    let (hash, salt) = (Hash::of(envelope.as_bytes()), "0".repeat(32));
    let start = format!(r#"{{"event":{envelope},"hash":"{hash}","salt":"{salt}","payload":"#);
    let line = [start.as_bytes(), payload, b"}"].concat();
    let Ok(event) = EventLine::decode(&line) else { return };
    assert_eq!(serde_json::from_str::<Envelope<'_>>(&envelope).as_ref().ok(), Some(&event.envelope));
    assert!(serde_json::from_slice::<Value>(payload).is_ok_and(|payload| payload.is_object()));
    assert_eq!(commitment, event.envelope.payload_sha256.to_string());
    event_line(&line);
}

fn parted(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    Some((&data[..at], &data[at + 1..]))
}

/// Adds the correct hash to a header and decodes it. A valid header must be written the same way and read again.
pub fn header(data: &[u8]) {
    let Ok((header, _)) = Header::decode(&hashed("header", data)) else { return };
    let (line, hash) = header.encode();
    assert_eq!(Header::decode(line.trim_ascii_end()), Ok((header, hash)));
}

/// Does the same for a seal as [`header`] does for a header.
pub fn seal(data: &[u8]) {
    let Ok((seal, _)) = Seal::decode(&hashed("seal", data)) else { return };
    let (line, hash) = seal.encode();
    assert_eq!(Seal::decode(line.trim_ascii_end()), Ok((seal, hash)));
}

fn hashed(kind: &str, object: &[u8]) -> Vec<u8> {
    let start = format!(r#"{{"{kind}":"#);
    [start.as_bytes(), object, format!(r#","hash":"{}"}}"#, Hash::of(object)).as_bytes()].concat()
}

/// Modifies a complete segment and recovers it. The part that is kept must be valid, and a segment reported as clean
/// must equal the original.
pub fn segment(data: &[u8]) {
    let changed = edited(SEGMENT, data);
    let scan = recovery::scan(changed.as_slice(), |_| {}).expect("memory is read without failures");
    let survey = recovery::survey(changed.as_slice(), |_| {}).expect("memory is read without failures");
    let kept = match scan.verdict {
        Verdict::Clean => changed.len(),
        Verdict::TornTail { valid_len, torn_bytes } => {
            assert_eq!(valid_len + torn_bytes, changed.len() as u64);
            usize::try_from(valid_len).expect("it is in memory")
        }
        Verdict::Corrupt(_) => {
            assert!(
                survey.breaches.count > 0 || survey.torn.is_some(),
                "a start finds what an audit does not"
            );
            return;
        }
    };
    assert!(SEGMENT.starts_with(&changed[..kept]), "a changed segment verifies");
    let again = recovery::scan(&changed[..kept], |_| {}).expect("memory is read without failures");
    assert!(kept == 0 || again.verdict == Verdict::Clean, "{:?}", again.verdict);
}

/// Applies the changes in `data` to `bytes`, at most eight. A change is five bytes: three of position, one of kind
/// (replace, flip a bit, remove, insert, truncate, duplicate the rest) and one of value.
fn edited(bytes: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in data.chunks_exact(5).take(8) {
        let place = usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        let at = place % bytes.len().max(1);
        let Some(old) = bytes.get(at).copied() else { continue };
        match change[3] % 6 {
            0 => bytes[at] = change[4],
            1 => bytes[at] = old ^ (1 << (change[4] % 8)),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, change[4]),
            4 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

/// Decodes the index of a compressed segment. The first two bytes of `data` are the number of bytes that precede the
/// index in the file. A valid index must be written the same way, and must not point outside the file.
pub fn frames(data: &[u8]) {
    let Some(([high, low], json)) = data.split_first_chunk() else { return };
    let before = u64::from(*high) << 8 | u64::from(*low);
    let Ok(length) = u32::try_from(json.len()) else { return };
    let tail = [0x184D_2A50_u32.to_le_bytes().as_slice(), &length.to_le_bytes(), json].concat();
    let _refused = FrameIndex::decode(data, data.len() as u64);
    let Ok((index, start)) = FrameIndex::decode(&tail, before + tail.len() as u64) else { return };
    assert_eq!((index.encode(), start), (tail, before));
    let mut end = (0, 0);
    for span in index.spans(start) {
        assert_eq!((span.raw.start, span.file.start), end, "the frames leave nothing out");
        assert_eq!(index.frame_at(span.raw.start, start), Some(span.clone()));
        end = (span.raw.end, span.file.end);
    }
    assert_eq!(end, (index.raw_bytes, start));
}

/// Parses JSON with the strict parser. JSON that it accepts must be accepted by any parser, and must stay strict when
/// another program rewrites it.
pub fn strict(data: &[u8]) {
    if strict::check(data).is_err() {
        return;
    }
    let value: Value = serde_json::from_slice(data).expect("strict JSON is JSON");
    let written = serde_json::to_vec(&value).expect("a value is written");
    assert_eq!(strict::check(&written), Ok(()));
}

/// Opens a signed note that was modified. Only the signed text may be reported as signed.
pub fn note(data: &[u8]) {
    let key = SignerKey::from_seed("fuzz", [7; 32]).expect("the name is valid");
    let keys = [key.verifier().clone()];
    if let Ok((text, _)) = note::open(data, &keys) {
        panic!("an unsigned note was accepted: {text}");
    }
    const TEXT: &str =
        "memory-engine/0123456789abcdef0123456789abcdef\n17\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let signed = note::sign(TEXT, &[&key]).expect("the text can be signed");
    if let Ok((text, _)) = note::open(&edited(signed.as_bytes(), data), &keys) {
        assert_eq!(text, TEXT);
    }
}

/// Signs the text in `data` and opens it as a checkpoint. A valid checkpoint must be written the same way.
pub fn checkpoint(data: &[u8]) {
    let key = SignerKey::from_seed("fuzz", [7; 32]).expect("the name is valid");
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(signed) = note::sign(text, &[&key]) else { return };
    let keys = [key.verifier().clone()];
    let Ok((checkpoint, _)) = Checkpoint::open(signed.as_bytes(), &keys) else { return };
    assert_eq!(checkpoint.to_string(), text);
    if let Some(position) = checkpoint.position() {
        assert!(text.contains(&position.to_string()));
    }
}

/// Checks Merkle proofs. The correct proof must be accepted. A changed proof, or a proof for something else, must be
/// refused.
pub fn proofs(data: &[u8]) {
    let [size, index, old, changes @ ..] = data else { return };
    let size = u64::from(*size) + 1;
    let (index, old) = (u64::from(*index) % size, u64::from(*old) % (size + 1));
    let leaf = |n: u64| merkle::leaf(&Hash::of(&n.to_be_bytes()));
    let (mut stored, mut tree) = (Vec::new(), Frontier::empty());
    (0..size).for_each(|n| tree.push(leaf(n), &mut stored));
    let read = |at: u64| Ok::<_, ()>(stored[usize::try_from(at).expect("it is in memory")]);
    let (root, old_root) = (tree.root(), merkle::root_at(old, read).expect("it is stored"));
    let inclusion =
        merkle::inclusion_proof(index, size, read).expect("it is stored").expect("it is in the tree");
    let consistency =
        merkle::consistency_proof(old, size, read).expect("it is stored").expect("it is no larger");
    assert_eq!(merkle::verify_inclusion(&leaf(index), index, size, &inclusion, &root), Ok(()));
    assert_eq!(merkle::verify_consistency(old, &old_root, size, &root, &consistency), Ok(()));
    for (proof, is_inclusion) in [(inclusion, true), (consistency, false)] {
        let changed = edited(&proof.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>(), changes);
        let changed: Vec<Hash> =
            changed.chunks_exact(32).map(|hash| Hash(hash.try_into().expect("32 bytes"))).collect();
        if changed == proof {
            continue;
        }
        let accepted = match is_inclusion {
            true => merkle::verify_inclusion(&leaf(index), index, size, &changed, &root),
            false => merkle::verify_consistency(old, &old_root, size, &root, &changed),
        };
        assert!(accepted.is_err(), "a changed proof is accepted");
    }
}

/// Parses an anchor from the operator. A valid anchor must survive writing and reading.
pub fn anchor(data: &[u8]) {
    let Ok(given) = serde_json::from_slice::<GivenAnchor>(data) else { return };
    let written = serde_json::to_vec(&given).expect("it was read");
    assert_eq!(serde_json::from_slice::<GivenAnchor>(&written).ok(), Some(given));
}

/// Parses request bodies. Accepted requests must be within the limits.
pub fn request(data: &[u8]) {
    let drafts = request::parse::<AppendEvents>(data).and_then(request::events).unwrap_or_default();
    let memory = request::parse::<SaveMemory>(data).and_then(request::memory).ok();
    assert!(drafts.len() <= limits::BATCH_EVENTS_MAX);
    for draft in drafts.iter().chain(&memory) {
        let names = [Some(&draft.kind), Some(&draft.actor), Some(&draft.project), draft.session.as_ref()];
        assert!(names.into_iter().flatten().all(|name| name.chars().count() <= limits::NAME_CHARS_MAX));
        assert!(draft.causes.len() <= limits::CAUSES_MAX);
        assert_eq!(strict::check(draft.payload.get().as_bytes()), Ok(()));
    }
}

/// Parses a line of a Zaxy log. The line is read or refused; a line that is read must give the same hash twice.
pub fn zaxy(data: &[u8]) {
    let Ok(record) = zaxy::Record::read(data) else { return };
    assert!(record.computed_hash().is_some());
    assert_eq!(record.computed_hash(), record.clone().computed_hash());
    let _refused = zaxy::Verifier::default().next(data);
}

/// The control: a planted fault that only a fuzzer with coverage feedback finds.
pub fn planted(data: &[u8]) {
    let mut bytes = data.iter();
    for wanted in b"fuzz" {
        if bytes.next() != Some(wanted) {
            return;
        }
    }
    panic!("found");
}
