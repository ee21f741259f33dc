//! Several segments: read in sequence, in parallel, and from the middle.

use engine_core::digest::Hash;
use engine_core::format::{EventLine, Header};
use engine_core::merkle::{Frontier, leaf};
use engine_core::recovery::{
    BREACHES_MAX, Erasures, Follows, Joined, Link, Scan, ScanStart, Verdict, check_root, join, scan_segment,
    survey,
};
use proptest::prelude::*;

use crate::log::{Log, lines, long_sample, sample};

/// Reads segments in sequence, as a starting engine does, up to the first segment that is not clean.
pub(crate) fn read(segments: &[(u64, Vec<u8>)]) -> (Vec<Scan>, Frontier, Erasures) {
    let (mut scans, mut tree, mut erasures) = (Vec::new(), Frontier::empty(), Erasures::default());
    let mut follows = Follows::Start;
    for (i, (_, bytes)) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        let scan = scan_segment(bytes.as_slice(), ScanStart::AtHeader(follows), last, |found| {
            tree.push(leaf(&found.event.hash), &mut Vec::new());
            erasures.see(found);
        });
        let scan = scan.expect("memory does not fail");
        follows = scan.end().map_or(Follows::Unknown, Follows::Segment);
        let clean = scan.verdict == Verdict::Clean;
        if let (true, Some((seal, _))) = (clean, &scan.seal) {
            assert_eq!(check_root(seal, &tree.root()), Ok(()));
        }
        scans.push(scan);
        if !clean {
            break;
        }
    }
    (scans, tree, erasures)
}

/// Surveys each segment separately and joins the results, as an audit does.
pub(crate) fn audit(segments: &[(u64, Vec<u8>)]) -> Joined {
    let survey = |bytes: &[u8]| survey(bytes, |_| {}).expect("memory does not fail");
    join(segments.iter().map(|(first_seq, bytes)| (*first_seq, survey(bytes))).collect())
}

pub(crate) fn labels(joined: &Joined) -> Vec<(usize, &'static str, u64)> {
    joined
        .breaches
        .kept
        .iter()
        .map(|(segment, breach)| (*segment, breach.reason.label(), breach.seq))
        .collect()
}

#[test]
fn a_log_of_segments_is_clean_both_ways() {
    let log = long_sample();
    let (scans, tree, erasures) = read(&log.segments());
    assert!(scans.iter().all(|scan| scan.verdict == Verdict::Clean), "{scans:?}");
    assert_eq!(scans.iter().map(|scan| scan.seal.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(scans.iter().map(|scan| scan.events).collect::<Vec<_>>(), [7, 2, 4]);
    assert_eq!(scans[2].head, Some(log.link));
    assert_eq!((&tree, erasures.forgotten(), erasures.unaccounted()), (&log.tree, 1, Vec::new()));
    let joined = audit(&log.segments());
    assert_eq!(labels(&joined), []);
    assert_eq!((joined.events, joined.head, joined.torn_bytes, joined.forgotten), (13, Some(log.link), 0, 1));
    assert_eq!(joined.tree, Some(log.tree));
}

#[test]
fn a_log_may_end_with_a_seal() {
    let log = long_sample().rotate();
    let joined = audit(&log.sealed);
    assert_eq!((labels(&joined), joined.tree), (Vec::new(), Some(log.tree)));
    assert!(read(&log.sealed).0.iter().all(|scan| scan.verdict == Verdict::Clean && scan.seal.is_some()));
}

/// Truncates a segment at every place, also within the seal: the last segment is then torn, an earlier segment corrupt.
#[test]
fn only_the_last_segment_may_be_torn() {
    // No payload is forgotten in this log, because a truncation would remove the event that records it.
    let log = sample().rotate().group(&[&["{}"], &["{}"]]).rotate().group(&[&["{}"]]);
    let all = log.segments();
    let whole = &all[1].1;
    for len in 0..whole.len() {
        let cut = [all[0].clone(), (all[1].0, whole[..len].to_vec())];
        let (scans, ..) = read(&cut);
        let open = !whole[..len].ends_with(b"\n");
        match &scans[1].verdict {
            Verdict::TornTail { valid_len, torn_bytes } => {
                assert_eq!(valid_len + torn_bytes, len as u64);
                assert!(open || len == 0);
            }
            verdict => assert!(*verdict == Verdict::Clean && !open, "{len}: {verdict:?}"),
        }
        let joined = audit(&cut);
        assert_eq!((labels(&joined).len(), joined.torn_bytes > 0), (0, open && len > 0), "{len}");
        let followed = [cut[0].clone(), cut[1].clone(), all[2].clone()];
        assert!(matches!(read(&followed).0[1].verdict, Verdict::Corrupt(_)), "{len}");
        assert!(audit(&followed).breaches.count > 0, "{len}");
    }
}

#[test]
fn zeros_and_half_a_line_behind_a_seal_are_torn() {
    let log = long_sample();
    let all = log.segments();
    for tail in [vec![0; 512], b"{\"event\":".to_vec()] {
        let bytes = [all[1].1.clone(), tail.clone()].concat();
        let (scans, ..) = read(&[all[0].clone(), (all[1].0, bytes.clone())]);
        let valid_len = all[1].1.len() as u64;
        assert_eq!(scans[1].verdict, Verdict::TornTail { valid_len, torn_bytes: tail.len() as u64 });
        assert!(scans[1].seal.is_some());
        let joined = audit(&[all[0].clone(), (all[1].0, bytes)]);
        assert_eq!((labels(&joined), joined.torn_bytes), (Vec::new(), tail.len() as u64));
    }
}

/// A scan from a checkpoint gives the same result as a scan of the whole segment.
#[test]
fn a_scan_from_the_middle_ends_as_one_from_the_start() {
    let log = long_sample();
    let (_, bytes) = log.segments().remove(2);
    let (header, header_hash) = Header::decode(lines(&bytes)[0].strip_suffix(b"\n").unwrap()).unwrap();
    let read = |bytes: &[u8], begin| scan_segment(bytes, begin, true, |_| {}).unwrap();
    let whole = read(&bytes, ScanStart::AtHeader(Follows::Unknown));
    let mut links = vec![(lines(&bytes)[0].len(), Link::after_header(&header, header_hash))];
    scan_segment(bytes.as_slice(), ScanStart::AtHeader(Follows::Unknown), true, |found| {
        let end = usize::try_from(found.offset + found.len).unwrap();
        links.push((end, Link::after(&found.event.envelope, found.event.hash)));
    })
    .unwrap();
    assert_eq!(links.len(), 5);
    for (offset, link) in links {
        let begin =
            |link| ScanStart::Inside { header: header.clone(), header_hash, link, offset: offset as u64 };
        let durable = Link::durable(link.seq, link.hash);
        // A scan with only a checkpoint can start at the beginning of a write.
        let at_write = offset == bytes.len() || log.groups.contains(&offset);
        for link in [link].into_iter().chain(at_write.then_some(durable)) {
            let Scan { header, seal, valid_len, events, verdict, .. } = read(&bytes[offset..], begin(link));
            let expected = (whole.header.clone(), None, whole.valid_len, whole.events, Verdict::Clean);
            // Inside a batch nothing counts as complete before the batch ends.
            assert_eq!((header, seal, valid_len, events, verdict), expected, "from {offset}");
        }
        let elsewhere = Link::durable(link.seq, Hash::ZERO);
        if offset < bytes.len() {
            let Verdict::Corrupt(breach) = read(&bytes[offset..], begin(elsewhere)).verdict else { panic!() };
            let line = lines(&bytes[..offset]).len() as u64 + 1;
            assert_eq!((breach.reason.label(), breach.byte, breach.line), ("link", offset as u64, line));
        }
    }
}

#[test]
fn an_audit_names_everything_that_is_wrong() {
    let log = long_sample();
    let mut all = log.segments();
    let damage = |bytes: &mut Vec<u8>, line: usize| {
        let start: usize = lines(bytes)[..line].iter().map(|line| line.len()).sum();
        bytes[start + 30] ^= 1;
    };
    damage(&mut all[0].1, 2);
    damage(&mut all[0].1, 4);
    damage(&mut all[1].1, 0);
    damage(&mut all[2].1, 2);
    damage(&mut all[2].1, 3);
    let joined = audit(&all);
    let expected = [(0, "hash", 2), (0, "hash", 4), (1, "hash", 0), (2, "hash", 11), (2, "hash", 12)];
    assert_eq!(labels(&joined)[..5], expected);
    // It is not known which missing payloads a damaged line named. A missing line does not count as a missing payload.
    assert_eq!(joined.breaches.count, 5);
    assert_eq!(joined.tree, None);
    let (scans, ..) = read(&all);
    let Verdict::Corrupt(first) = &scans[0].verdict else { panic!("{scans:?}") };
    assert_eq!(joined.breaches.kept[0], (0, first.clone()), "both report the same first breach");
}

#[test]
fn an_audit_counts_what_it_does_not_keep() {
    let junk = "junk\n".repeat(3 * BREACHES_MAX).into_bytes();
    let log = Log::new().group(&[&["{}"]]);
    let joined = audit(&[(1, [log.bytes, junk].concat())]);
    assert_eq!(joined.breaches.kept.len(), BREACHES_MAX);
    assert_eq!(joined.breaches.count, 3 * BREACHES_MAX as u64);
    assert_eq!((joined.events, joined.breaches.kept[0].1.line), (1, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The check at startup stops at the first breach that an audit reports, whatever bytes of a segment are changed.
    #[test]
    fn start_and_audit_agree(
        segment in 0_usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..4), 1..4),
    ) {
        let mut all = long_sample().segments();
        for (from, to, kind) in edits {
            let bytes = &mut all[segment].1;
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let range = from.min(to)..from.max(to);
            match kind {
                0 => bytes.truncate(from.max(1)),
                1 => { bytes.drain(range); }
                2 => bytes[range].fill(0),
                _ => { let copy = bytes[range].to_vec(); bytes.splice(from..from, copy); }
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        let (scans, ..) = read(&all);
        let joined = audit(&all);
        let found = scans.iter().enumerate().find_map(|(i, scan)| match &scan.verdict {
            Verdict::Corrupt(breach) => Some((i, breach.clone())),
            _ => None,
        });
        prop_assert_eq!(found.is_some(), joined.breaches.count > 0, "{:?} {:?}", scans, joined);
        if let Some((i, breach)) = found {
            let (segment, first) = &joined.breaches.kept[0];
            prop_assert_eq!((*segment, first.byte), (i, breach.byte), "{:?}", joined);
        } else {
            let torn = match scans.last().map(|scan| &scan.verdict) {
                Some(Verdict::TornTail { torn_bytes, .. }) => *torn_bytes,
                _ => 0,
            };
            prop_assert_eq!(torn, joined.torn_bytes);
        }
    }
}

#[test]
fn a_line_of_this_engine_is_read_without_copies() {
    let log = Log::new().group(&[&[r#"{"text":"plain"}"#]]);
    let line = lines(&log.bytes)[1].strip_suffix(b"\n").unwrap();
    let event = EventLine::decode(line).unwrap();
    let borrowed = |text: &std::borrow::Cow<'_, str>| matches!(text, std::borrow::Cow::Borrowed(_));
    let envelope = &event.envelope;
    assert!([&envelope.id, &envelope.kind, &envelope.actor, &envelope.project].into_iter().all(borrowed));
    assert_eq!(event.payload(), Some(r#"{"text":"plain"}"#));
}
