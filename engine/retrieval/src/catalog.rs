//! The in-memory index of the memories (or items) of one project. It holds the actor, time, session, words and vector
//! of each memory, so that a search ranks memories without reading their rows. It is derived from the projection and
//! can be rebuilt at any time.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use engine_core::retrieval::text_style::TextStyle;
use engine_core::words::terms::{Terms, number};

use super::catalog_text::{embedded, name_words, title_number};
use super::external_vectors::ExternalVectors;
use super::model::Model;
use super::names::{NONE, Names};
use super::texts::Texts;
use super::vectors::Vectors;
use engine_projection::{Bounds, EndRow, MemoryRow, TAG_WEIGHT, TITLE_WEIGHT};

/// Maximum number of content terms that the catalog stores for a memory. The full-text index also finds terms beyond
/// this limit. Scripts without spaces have about two and a half terms per character.
const TERMS_MAX: usize = 12_288;

/// Maximum number of tokens of a memory that late interaction compares.
const PIECES_MAX: usize = 512;
/// With at most this many removed memories, a catalog is never rebuilt because of them.
const EMPTY_MIN: usize = 1_024;
/// Start of validity that is stored for a removed memory: no query time reaches it.
const NEVER: i64 = i64::MAX;

/// The memories of one project in log order. The index of a memory in these columns is its *number*.
#[derive(Debug)]
pub(super) struct Catalog {
    /// Sequence number of the event that wrote each memory, ascending.
    seqs: Vec<i64>,
    /// Time at which each memory was written. All times are microseconds since 1970.
    known: Vec<i64>,
    valid_from: Vec<i64>,
    pub(super) occurred: Vec<i64>,
    pub(super) actor: Vec<u32>,
    kind: Vec<u32>,
    /// Hash of the title; 0 without a title.
    title: Vec<u32>,
    /// Session number, or `NONE`.
    session: Vec<u32>,
    /// Index of the memory in its session.
    place: Vec<u32>,
    /// Number of terms, stop words included.
    pub(super) words: Vec<u32>,
    /// Number of these terms that belong to the title (the first terms) and to the tags (the last terms).
    title_words: Vec<u16>,
    tag_words: Vec<u16>,
    /// Tag numbers of all memories, and the index at which the tags of each memory begin.
    tag_numbers: Vec<u32>,
    tag_starts: Vec<usize>,
    tags: Names,
    /// Number of removed memories. A removed memory keeps its number and matches no query.
    removed: usize,
    pub(super) styles: Vec<TextStyle>,
    /// Tokens of all memories, in the vocabulary of the built-in table, and the index at which those of each memory
    /// begin.
    pieces: Vec<u16>,
    piece_starts: Vec<usize>,
    /// Content words of each memory.
    pub(super) texts: Texts,
    words_total: u64,
    /// Sum of `words` over the memories that belong to a session.
    session_words: u64,
    actors: Names,
    /// Words of the name of each actor, and whether the name is capitalised.
    actor_words: Vec<(Vec<String>, bool)>,
    kinds: Names,
    sessions: Names,
    /// Numbers of the memories of each session, in order.
    members: Vec<Vec<u32>>,
    /// Ends of validity, by memory number.
    ends: HashMap<u32, Vec<End>>,
    /// Times at which a memory starts or stops being valid.
    boundaries: BTreeSet<i64>,
    pub(super) vectors: Vectors,
    /// Vectors of the external model; set if one is configured.
    pub(super) external: Option<ExternalVectors>,
    terms: Terms,
    /// Sequence number of the last event that was applied.
    pub(super) applied_through: i64,
}

#[derive(Debug, Clone, Copy)]
struct End {
    until: i64,
    seq: i64,
    known: i64,
}

impl Catalog {
    pub(super) fn new(model: Model, external: bool) -> Catalog {
        Catalog {
            seqs: Vec::new(),
            known: Vec::new(),
            valid_from: Vec::new(),
            occurred: Vec::new(),
            actor: Vec::new(),
            kind: Vec::new(),
            title: Vec::new(),
            session: Vec::new(),
            place: Vec::new(),
            words: Vec::new(),
            title_words: Vec::new(),
            tag_words: Vec::new(),
            tag_numbers: Vec::new(),
            tag_starts: vec![0],
            tags: Names::default(),
            removed: 0,
            styles: Vec::new(),
            pieces: Vec::new(),
            piece_starts: vec![0],
            texts: Texts::default(),
            words_total: 0,
            session_words: 0,
            actors: Names::default(),
            actor_words: Vec::new(),
            kinds: Names::default(),
            sessions: Names::default(),
            members: Vec::new(),
            ends: HashMap::new(),
            boundaries: BTreeSet::new(),
            vectors: Vectors::new(model),
            external: external.then(ExternalVectors::default),
            terms: Terms::default(),
            applied_through: 0,
        }
    }

    /// Count of memory numbers in use, including those of removed memories.
    pub(super) fn len(&self) -> usize {
        self.seqs.len()
    }

    /// Count of memories that were not removed.
    pub(super) fn count(&self) -> usize {
        self.seqs.len() - self.removed
    }

    /// Whether removed memories outnumber the others (and `EMPTY_MIN`), so that a rebuild is worthwhile.
    pub(super) fn is_mostly_empty(&self) -> bool {
        self.removed > self.count().max(EMPTY_MIN)
    }

    /// Approximate memory used, bytes.
    pub(super) fn bytes(&self) -> usize {
        72 * self.seqs.len()
            + 8 * (self.piece_starts.len() + self.tag_starts.len())
            + 4 * self.tag_numbers.len()
            + 2 * self.pieces.len()
            + self.texts.bytes()
            + self.vectors.bytes()
            + self.external.as_ref().map_or(0, ExternalVectors::bytes)
    }

    /// Appends a memory; it must follow all earlier ones in log order.
    pub(super) fn push(&mut self, row: &MemoryRow) {
        let number = u32::try_from(self.seqs.len()).unwrap_or(NONE);
        self.seqs.push(row.seq);
        self.known.push(row.known);
        self.valid_from.push(row.valid_from);
        self.occurred.push(row.occurred);
        let actor = self.actors.add(&row.actor);
        if actor as usize == self.actor_words.len() {
            self.actor_words.push(name_words(&row.actor));
        }
        self.actor.push(actor);
        self.kind.push(self.kinds.add(&row.kind));
        self.title.push(title_number(&row.title));
        self.styles.push(TextStyle::of(&row.content));
        if row.valid_from > row.known {
            self.boundaries.insert(row.valid_from);
        }
        self.put_in_session(number, row.session.as_deref());
        self.push_terms(row);
        self.push_tags(&row.tags);
        let tokens = self.vectors.push(&embedded(row));
        if self.vectors.compares_tokens() {
            self.pieces.extend(tokens.iter().take(PIECES_MAX).filter_map(|token| u16::try_from(*token).ok()));
            self.piece_starts.push(self.pieces.len());
        }
        if let Some(external) = &mut self.external {
            external.push(row);
        }
        self.applied_through = self.applied_through.max(row.seq);
    }

    fn put_in_session(&mut self, number: u32, session: Option<&str>) {
        let Some(session) = session else {
            self.session.push(NONE);
            self.place.push(0);
            return;
        };
        let session = self.sessions.add(session);
        let at = session as usize;
        if at == self.members.len() {
            self.members.push(Vec::new());
        }
        self.session.push(session);
        self.place.push(u32::try_from(self.members[at].len()).unwrap_or(NONE));
        self.members[at].push(number);
    }

    fn push_terms(&mut self, row: &MemoryRow) {
        let (mut kept, mut count, mut ends) = (Vec::new(), 0_u32, [0; 3]);
        for (text, end) in [&row.title, &row.content, &row.tags].into_iter().zip(&mut ends) {
            self.terms.of_text(text, |term, says| {
                count += 1;
                if says && kept.len() < TERMS_MAX {
                    kept.push((number(term), count));
                }
            });
            *end = count;
        }
        self.texts.push(&kept);
        self.words.push(count);
        let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        self.title_words.push(small(ends[0]));
        self.tag_words.push(small(ends[2] - ends[1]));
        self.words_total += u64::from(count);
        self.session_words += if row.session.is_some() { u64::from(count) } else { 0 };
    }

    fn push_tags(&mut self, tags: &str) {
        // A value that is not a list counts as no tags; the projection writes only lists.
        let tags: Vec<String> =
            if tags == "[]" { Vec::new() } else { serde_json::from_str(tags).unwrap_or_default() };
        self.tag_numbers.extend(tags.iter().map(|tag| self.tags.add(tag)));
        self.tag_starts.push(self.tag_numbers.len());
    }

    /// Records an end of validity. Ignores a row for a memory of another project.
    pub(super) fn end(&mut self, row: &EndRow) {
        if let Some(number) = self.number(row.memory) {
            self.boundaries.insert(row.until);
            self.ends.entry(number).or_default().push(End {
                until: row.until,
                seq: row.seq,
                known: row.known,
            });
        }
    }

    /// Replaces the end of validity of a memory; `None` removes it.
    pub(super) fn set_end(&mut self, memory: i64, known: i64, until: Option<i64>) {
        if let Some(number) = self.number(memory) {
            self.ends.remove(&number);
            if let Some(until) = until {
                self.end(&EndRow { seq: memory, memory, until, known });
            }
        }
    }

    /// Returns an empty catalog for the same models.
    pub(super) fn empty_copy(&self) -> Catalog {
        Catalog::new(self.vectors.model(), self.external.is_some())
    }

    /// Removes a memory, its words and its vector.
    pub(super) fn forget(&mut self, seq: i64) {
        let Some(number) = self.number(seq) else { return };
        let number = number as usize;
        if self.valid_from[number] == NEVER {
            return;
        }
        self.removed += 1;
        self.texts.forget(u32::try_from(number).unwrap_or(NONE));
        self.ends.remove(&u32::try_from(number).unwrap_or(NONE));
        self.valid_from[number] = NEVER;
        self.title[number] = 0;
        let words = u64::from(std::mem::take(&mut self.words[number]));
        self.words_total -= words;
        self.session_words -= if self.session[number] == NONE { 0 } else { words };
        let pieces = self.piece_range(number);
        self.pieces[pieces].fill(0);
        self.vectors.forget(number);
        if let Some(external) = &mut self.external {
            external.forget(number);
        }
    }

    /// The number of a memory, if it belongs to this project.
    pub(super) fn number(&self, seq: i64) -> Option<u32> {
        self.seqs.binary_search(&seq).ok().and_then(|number| u32::try_from(number).ok())
    }

    /// Like [`Catalog::number`], for lookups in ascending order: starts at `from`, where the last lookup ended, and
    /// updates it.
    pub(super) fn number_from(&self, from: &mut usize, seq: i64) -> Option<u32> {
        let rest = &self.seqs[*from..];
        // Galloping search: the next memory is usually near.
        let mut reach = 1;
        while rest.get(reach - 1).is_some_and(|last| *last < seq) {
            reach *= 2;
        }
        let within = &rest[reach / 2..reach.min(rest.len())];
        let place = *from + reach / 2 + within.partition_point(|other| *other < seq);
        *from = place;
        self.seqs.get(place).filter(|found| **found == seq).and_then(|_| u32::try_from(place).ok())
    }

    pub(super) fn seqs(&self) -> &[i64] {
        &self.seqs
    }

    /// Installs vectors that were recomputed for the first `count` memories; newer memories keep their vectors until
    /// the next recomputation.
    pub(super) fn replace_vectors(&mut self, mut vectors: Vectors, count: usize) {
        vectors.take_rest(&self.vectors, count);
        for number in 0..count {
            if self.valid_from[number] == NEVER {
                vectors.forget(number);
            }
        }
        self.vectors = vectors;
    }

    /// Sequence numbers of the memories whose title may be `title` (only hashes are compared), newest first.
    pub(super) fn titled(&self, title: &str) -> impl Iterator<Item = i64> {
        let wanted = title_number(title);
        let all = self.title.iter().zip(&self.seqs).rev();
        all.filter(move |(title, _)| wanted != 0 && **title == wanted).map(|(_, seq)| *seq)
    }

    pub(super) fn seq(&self, number: u32) -> i64 {
        self.seqs[number as usize]
    }

    /// Whether a memory is valid and known at the requested time.
    pub(super) fn is_valid_and_known(&self, number: u32, bounds: &Bounds) -> bool {
        let at = number as usize;
        let begun = self.valid_from[at] != NEVER
            && self.valid_from[at] <= bounds.as_of
            && self.seqs[at] <= bounds.known_seq
            && self.known[at] <= bounds.known_time;
        let over = |end: &End| {
            end.until <= bounds.as_of && end.seq <= bounds.known_seq && end.known <= bounds.known_time
        };
        begun && !self.ends.get(&number).is_some_and(|ends| ends.iter().any(over))
    }

    /// Whether a memory was known at the requested time, valid or not.
    pub(super) fn was_known(&self, number: u32, bounds: &Bounds) -> bool {
        let at = number as usize;
        self.seqs[at] <= bounds.known_seq && self.known[at] <= bounds.known_time
    }

    /// Words of the name of each actor, by number; none for the default actor.
    pub(super) fn actor_words(&self) -> &[(Vec<String>, bool)] {
        &self.actor_words
    }

    /// Whether the actor has a name other than the default one.
    pub(super) fn is_somebody(&self, actor: u32) -> bool {
        self.actor_words.get(actor as usize).is_some_and(|(words, _)| !words.is_empty())
    }

    /// Whether a memory is a turn of a conversation and asks a question.
    pub(super) fn is_question(&self, number: u32) -> bool {
        let at = number as usize;
        self.styles[at].question && self.session_of(number).is_some() && self.is_somebody(self.actor[at])
    }

    /// The first time after `now` at which a memory starts or stops being valid.
    pub(super) fn next_boundary(&self, now: i64) -> Option<i64> {
        self.boundaries.range(now + 1..).next().copied()
    }

    /// The number of a kind; `None` if no memory has it.
    pub(super) fn kind_number(&self, kind: &str) -> Option<u32> {
        self.kinds.number(kind)
    }

    /// For each kind number, whether the kind is `prefix` or begins with `prefix` and a full stop.
    pub(super) fn kinds_below(&self, prefix: &str) -> Vec<bool> {
        let below = |name: &str| {
            let rest = name.strip_prefix(prefix);
            prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut kinds = vec![false; self.kinds.len()];
        self.kinds
            .iter()
            .filter(|(name, _)| below(name))
            .for_each(|(_, number)| kinds[number as usize] = true);
        kinds
    }

    pub(super) fn kind_of(&self, number: u32) -> u32 {
        self.kind[number as usize]
    }

    /// The number of a tag. For a tag that no memory has, a number that matches nothing.
    pub(super) fn tag_number(&self, tag: &str) -> u32 {
        self.tags.number(tag).unwrap_or(NONE)
    }

    /// Tag numbers of a memory.
    pub(super) fn tags_of(&self, number: u32) -> &[u32] {
        let at = number as usize;
        &self.tag_numbers[self.tag_starts[at]..self.tag_starts[at + 1]]
    }

    /// Adds the number of occurrences of each word of `asked` in a memory to `counts`. Occurrences in the title and in
    /// the tags have higher weights.
    pub(super) fn count_weighed(&self, number: u32, asked: &[u32], counts: &mut [f64]) {
        let at = number as usize;
        let title = u32::from(self.title_words[at]);
        let tags = self.words[at].saturating_sub(self.tag_words[at].into());
        for word in self.texts.of(number) {
            if let Some(place) = asked.iter().position(|asked| *asked == word.number) {
                counts[place] += match word.place {
                    place if place <= title => TITLE_WEIGHT,
                    place if place > tags => TAG_WEIGHT,
                    _ => 1.0,
                };
            }
        }
    }

    pub(super) fn is_of_kind(&self, number: u32, kind: u32) -> bool {
        self.kind[number as usize] == kind
    }

    pub(super) fn session_number(&self, session: &str) -> Option<u32> {
        self.sessions.number(session)
    }

    /// The session of a memory.
    pub(super) fn session_of(&self, number: u32) -> Option<u32> {
        Some(self.session[number as usize]).filter(|session| *session != NONE)
    }

    /// Memories of a session, in order.
    pub(super) fn members(&self, session: u32) -> &[u32] {
        &self.members[session as usize]
    }

    /// The memory that is `distance` places away in the same session.
    pub(super) fn neighbour(&self, number: u32, distance: i64) -> Option<u32> {
        let session = self.session_of(number)?;
        let place = i64::from(self.place[number as usize]) + distance;
        self.members(session).get(usize::try_from(place).ok()?).copied()
    }

    /// Tokens of a memory.
    pub(super) fn pieces_of(&self, number: u32) -> &[u16] {
        &self.pieces[self.piece_range(number as usize)]
    }

    /// Count of the tokens of all memories.
    pub(super) fn tokens(&self) -> usize {
        self.pieces.len()
    }

    /// Range of a memory's tokens in `pieces`; empty for a model without tokens.
    fn piece_range(&self, at: usize) -> Range<usize> {
        self.piece_starts.get(at + 1).map_or(0..0, |end| self.piece_starts[at]..*end)
    }

    pub(super) fn mean_words(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "words are counted in billions")]
        let (total, count) = (self.words_total as f64, self.count().max(1) as f64);
        total / count
    }

    /// Mean number of words of a session.
    pub(super) fn mean_session_words(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "words are counted in billions")]
        let (total, count) = (self.session_words as f64, self.members.len().max(1) as f64);
        total / count
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }
}

#[cfg(test)]
mod tests;
