//! Tests of the line reader: complete lines, correct positions, and bounded memory.

use std::io::{self, BufReader, Read};

use super::source::{Line, Lines};

/// A reader that generates its content while it is read, so that only the line reader under test can use memory for it.
struct Endless {
    line: Vec<u8>,
    at: usize,
    left: u64,
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.line[self.at..];
        let taken = rest.len().min(into.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        into[..taken].copy_from_slice(&rest[..taken]);
        self.at = (self.at + taken) % self.line.len();
        self.left -= taken as u64;
        self.given += taken as u64;
        Ok(taken)
    }
}

#[test]
fn lines_are_cut_where_they_end() {
    let text = b"one\n\n three \r\nlast";
    for capacity in [1, 2, 3, 100] {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, text.as_slice()), 8);
        let mut found = Vec::new();
        while let Some(Line { number, byte, text, too_long, ended }) = lines.next().unwrap() {
            found.push((number, byte, text.to_vec(), too_long, ended));
        }
        let expected = [
            (1, 0, b"one".to_vec(), false, true),
            (2, 4, b"".to_vec(), false, true),
            (3, 5, b" three \r".to_vec(), false, true),
            (4, 14, b"last".to_vec(), false, false),
        ];
        assert_eq!(found, expected, "{capacity}");
    }
}

#[test]
fn a_line_beyond_the_limit_is_told_and_not_held() {
    let endless = Endless { line: vec![b'x'; 1 << 16], at: 0, left: 100 << 20, given: 0 };
    let mut lines = Lines::new(BufReader::new(endless), 1000);
    let line = lines.next().unwrap().unwrap();
    assert_eq!((line.text.len(), line.too_long, line.ended), (1000, true, false));
    assert_eq!(lines.position(), 100 << 20);
    assert_eq!(lines.next().unwrap(), None);
}
