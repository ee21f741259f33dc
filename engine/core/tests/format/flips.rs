//! Flips every single bit of a log.

use engine_core::format::Header;
use engine_core::recovery::{Follows, Link, ScanStart, Verdict, scan_segment};

use crate::log::{Log, lines};

const LOG_BYTES: usize = 64 << 10;

/// A log of at least [`LOG_BYTES`] bytes, in segments of a few lines.
fn large() -> Vec<(u64, Vec<u8>)> {
    let text = format!(r#"{{"text":"{}"}}"#, "bits and bytes ".repeat(9));
    let fill = |log: Log| log.group(&[&[&text], &["{}", &text]]).group(&[&[&text]]);
    let mut log = fill(Log::new());
    while log.sealed.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + log.bytes.len() < LOG_BYTES {
        log = fill(log.rotate());
    }
    log.segments()
}

/// The lines of a segment, with the state before each. A scan that starts at a line stops at the first line that does
/// not verify, so that the test of one flip reads only one line.
fn places(bytes: &[u8]) -> Vec<(usize, ScanStart)> {
    let (header, header_hash) = Header::decode(lines(bytes)[0].strip_suffix(b"\n").unwrap()).unwrap();
    let mut link = Link::after_header(&header, header_hash);
    let mut places = vec![(0, ScanStart::AtHeader(Follows::Unknown))];
    let inside = |link, offset| ScanStart::Inside { header: header.clone(), header_hash, link, offset };
    let mut end = lines(bytes)[0].len() as u64;
    scan_segment(bytes, ScanStart::AtHeader(Follows::Unknown), true, |found| {
        places.push((usize::try_from(found.offset).unwrap(), inside(link, found.offset)));
        link = Link::after(&found.event.envelope, found.event.hash);
        end = found.offset + found.len;
    })
    .unwrap();
    if end < bytes.len() as u64 {
        places.push((usize::try_from(end).unwrap(), inside(link, end)));
    }
    places
}

/// Returns the number of flips checked in this segment. Every flip must be noticed, and durable data must not be
/// classified as torn.
fn check_segment(bytes: &[u8], last: bool) -> usize {
    let places = places(bytes);
    assert!(places.len() == lines(bytes).len());
    let last_write = places.last().unwrap().0;
    let mut flipped = bytes.to_vec();
    for at in 0..bytes.len() {
        let (start, begin) = &places[places.partition_point(|(start, _)| *start <= at) - 1];
        for bit in 0..8 {
            flipped[at] ^= 1 << bit;
            let scan = scan_segment(&flipped[*start..], begin.clone(), last, |_| {}).unwrap();
            match scan.verdict {
                Verdict::Corrupt(breach) => assert!(breach.byte <= at as u64),
                Verdict::TornTail { .. } => {
                    assert!(last && at >= last_write, "byte {at} bit {bit} was durable");
                }
                Verdict::Clean => panic!("byte {at} bit {bit} went unnoticed"),
            }
            flipped[at] ^= 1 << bit;
        }
    }
    bytes.len() * 8
}

#[test]
fn no_flipped_bit_of_64_kib_in_many_segments_goes_unnoticed() {
    let all = large();
    assert!(all.len() > 10);
    let last = all.len() - 1;
    let half = |remainder: usize| {
        let mine = all.iter().enumerate().filter(move |(i, _)| i % 2 == remainder);
        mine.map(|(i, (_, bytes))| check_segment(bytes, i == last)).sum::<usize>()
    };
    let flips = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().unwrap()
    });
    assert!(flips >= 8 * LOG_BYTES, "{flips}");
}
