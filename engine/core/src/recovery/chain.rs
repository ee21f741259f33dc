//! Verification of consecutive lines; shared by all readers of a log.

use super::lines::Line;
use super::link::check_seal_of;
use super::{Fault, Follows, Found, Link};
use crate::digest::Hash;
use crate::format::{EventLine, Header, Seal};

/// State of the chain while a segment is read: determines which line may come next.
pub(super) struct Chain {
    pub(super) header: Option<(Header, Hash)>,
    pub(super) seal: Option<(Seal, Hash)>,
    expected: Expected,
}

enum Expected {
    Header(Follows),
    Event(Link),
    /// After a damaged line: accept the next line whose own hash verifies. If the sequence number is known, an event
    /// must have it.
    Anything(Option<u64>),
    Nothing,
}

impl Chain {
    pub(super) fn new(follows: Follows) -> Chain {
        Chain { header: None, seal: None, expected: Expected::Header(follows) }
    }

    /// A chain that starts inside a segment, after the event or header at `link`.
    pub(super) fn inside(header: Header, hash: Hash, link: Link) -> Chain {
        Chain { header: Some((header, hash)), seal: None, expected: Expected::Event(link) }
    }

    /// End of the chain after the events read so far, if known.
    pub(super) fn link(&self) -> Option<Link> {
        match self.expected {
            Expected::Event(link) => Some(link),
            _ => None,
        }
    }

    /// Sequence number of the next event; 0 if not known.
    pub(super) fn next_seq(&self) -> u64 {
        match &self.expected {
            Expected::Header(_) => 0,
            Expected::Event(link) => link.seq + 1,
            Expected::Anything(seq) => seq.unwrap_or_default(),
            Expected::Nothing => self.seal.as_ref().map_or(0, |(seal, _)| seal.last_seq + 1),
        }
    }

    /// Verifies the next line and calls `visit` if it is an event. After a fault it can be called with the following
    /// lines, and continues with the next line whose own hash verifies.
    pub(super) fn step(&mut self, line: &Line, visit: &mut impl FnMut(&Found<'_>)) -> Result<(), Fault> {
        match &self.expected {
            Expected::Header(_) => self.header(line),
            Expected::Nothing => Err(Fault::AfterSeal),
            Expected::Event(_) | Expected::Anything(_) if line.is_seal() => self.seal(line),
            Expected::Event(_) | Expected::Anything(_) => self.event(line, visit),
        }
    }

    fn header(&mut self, line: &Line) -> Result<(), Fault> {
        let expected = std::mem::replace(&mut self.expected, Expected::Anything(None));
        let (header, hash) = Header::decode(line.whole()?)?;
        let checked = match expected {
            Expected::Header(follows) => follows.check(&header),
            _ => Ok(()),
        };
        self.expected = Expected::Event(Link::after_header(&header, hash));
        self.header = Some((header, hash));
        checked
    }

    fn event(&mut self, line: &Line, visit: &mut impl FnMut(&Found<'_>)) -> Result<(), Fault> {
        let decoded = line.whole().and_then(EventLine::decode);
        let Ok(event) = decoded else {
            let damaged = self.next_seq();
            self.expected = Expected::Anything((damaged > 0).then_some(damaged + 1));
            return decoded.map(|_| ()).map_err(Fault::from);
        };
        let checked = match &self.expected {
            Expected::Event(link) => link.check_next(&event.envelope),
            Expected::Anything(Some(seq)) if *seq != event.envelope.seq => {
                Err(Fault::Sequence(event.envelope.seq))
            }
            _ => Ok(()),
        };
        self.expected = Expected::Event(Link::after(&event.envelope, event.hash));
        checked?;
        visit(&Found { event, line: line.number, offset: line.offset, len: line.len });
        Ok(())
    }

    fn seal(&mut self, line: &Line) -> Result<(), Fault> {
        let decoded = Seal::decode(line.whole()?);
        let header = self.header.as_ref().map(|(header, _)| header);
        let expected = self.next_seq();
        let (seal, hash) = decoded?;
        let checked = match &self.expected {
            Expected::Event(link) => link.check_seal(&seal, header),
            _ if expected > 0 && seal.last_seq.checked_add(1) != Some(expected) => {
                Err(Fault::Seal("last_seq"))
            }
            _ => header.map_or(Ok(()), |header| check_seal_of(&seal, header)),
        };
        self.expected = Expected::Nothing;
        self.seal = Some((seal, hash));
        checked
    }
}
