//! Searches for items: current items, filters, and answers built from ranked results.

use std::collections::BTreeSet;

use engine_core::filter::Filter;
use engine_core::limits::{ANSWER_BYTES_MAX, ITEM_CANDIDATES_MAX};
use engine_core::query::any_of;
use engine_core::wire::{ItemView, ItemsAnswer};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, named_params};

use super::items::{applied, columns, standing, view};
use super::text_ranking::Texts;
use super::top_matches::Best;
use super::validity::{Bounds, Moment};
use super::values::malformed;

/// A validated search for items.
#[derive(Debug, Clone)]
pub struct ItemSearch {
    pub project: String,
    /// Namespace prefix, with full stops between its segments. Empty for all namespaces.
    pub prefix: String,
    pub filter: Filter,
    pub words: Option<String>,
    pub moment: Moment,
    pub limit: u32,
    pub offset: u32,
}

/// Result of an item search.
#[derive(Debug)]
pub enum Items {
    Found(ItemsAnswer),
    /// The values of the found items exceed the size limit of an answer.
    TooLarge,
    /// More items would have to be examined than a search may.
    TooMany,
}

impl ItemSearch {
    /// The words of the query, if any.
    pub fn asked(&self) -> Option<&str> {
        self.words.as_deref().map(str::trim).filter(|words| !words.is_empty())
    }

    /// Answers a search without words: the matching items, last changed first. Runs in the caller's transaction.
    ///
    /// # Errors
    /// A query fails.
    pub fn newest(&self, connection: &Connection) -> rusqlite::Result<Items> {
        // Without a filter every item matches, so no more items have to be read than are returned or skipped.
        let told = self.offset as usize + self.limit as usize;
        let most =
            if self.filter.is_empty() { told.min(ITEM_CANDIDATES_MAX) } else { ITEM_CANDIDATES_MAX } + 1;
        let candidates = self.standing(connection, most)?;
        let many = candidates.len() > ITEM_CANDIDATES_MAX;
        let mut page = Page::new(self, connection)?;
        for seq in candidates.into_iter().take(ITEM_CANDIDATES_MAX) {
            if page.put(seq, None, true)? == Full::Yes {
                return page.ended();
            }
        }
        if many { Ok(Items::TooMany) } else { page.ended() }
    }

    /// Answers with the items in `ranked`, best first. If `all_are_wanted` is true, the other items follow: first the
    /// items with words, with the score 0, then the items without words, with no score, each last changed first.
    ///
    /// # Errors
    /// A query fails.
    pub fn ranked(
        &self,
        connection: &Connection,
        ranked: &[(i64, f64)],
        all_are_wanted: bool,
    ) -> rusqlite::Result<Items> {
        let mut page = Page::new(self, connection)?;
        for (seq, score) in ranked {
            // The filter was applied before ranking.
            if page.put(*seq, Some(*score), false)? == Full::Yes {
                return page.ended();
            }
        }
        if all_are_wanted {
            let told: BTreeSet<i64> = ranked.iter().map(|(seq, _)| *seq).collect();
            let mut has_words = connection.prepare_cached("SELECT words <> '' FROM items WHERE seq = ?1")?;
            let mut others = Vec::new();
            for seq in self.standing(connection, ITEM_CANDIDATES_MAX)? {
                if !told.contains(&seq) {
                    others.push((has_words.query_row([seq], |row| row.get::<_, bool>(0))?, seq));
                }
            }
            others.sort_by_key(|(has_words, _)| !has_words);
            for (has_words, seq) in others {
                if page.put(seq, has_words.then_some(0.0), true)? == Full::Yes {
                    break;
                }
            }
        }
        page.ended()
    }

    /// The items that match the filter, in log order. `None` when the filter is empty.
    ///
    /// # Errors
    /// A query fails.
    pub fn filtered(&self, connection: &Connection) -> rusqlite::Result<Option<Filtered>> {
        if self.filter.is_empty() {
            return Ok(None);
        }
        let mut candidates = self.standing(connection, ITEM_CANDIDATES_MAX + 1)?;
        if candidates.len() > ITEM_CANDIDATES_MAX {
            return Ok(Some(Filtered::TooMany));
        }
        let mut value = connection.prepare_cached("SELECT value FROM items WHERE seq = ?1")?;
        let mut fitting = Vec::new();
        candidates.reverse();
        for seq in candidates {
            let fits = value.query_row([seq], |row| self.fits(row.get_ref(0)?.as_str()?))?;
            if fits {
                fitting.push(seq);
            }
        }
        Ok(Some(Filtered::These(fitting)))
    }

    /// Ranks the items that contain any of the words by their texts alone. Used when no catalog is available.
    ///
    /// # Errors
    /// A query fails.
    pub fn best_by_texts(
        &self,
        connection: &Connection,
        asked: &str,
        among: Option<&[i64]>,
        count: usize,
    ) -> rusqlite::Result<Vec<(i64, f64)>> {
        let mut texts = Texts::new(asked);
        let Some(query) = any_of(texts.asked()) else { return Ok(Vec::new()) };
        let standing = standing(&self.prefix);
        let sql = format!(
            "SELECT i.seq, i.words FROM items_fts f JOIN items i ON i.seq = f.rowid
             WHERE items_fts MATCH :query AND {standing} ORDER BY i.seq DESC"
        );
        self.each(connection, &sql, &[(":query", &query)], |row| {
            let seq: i64 = row.get(0)?;
            match among.is_none_or(|among| among.binary_search(&seq).is_ok()) {
                true if texts.has_room() => texts.add(seq, &[(row.get_ref(1)?.as_str()?, 1.0)]),
                true => texts.pass(seq),
                false => {}
            }
            Ok(())
        })?;
        let of = "SELECT count(*) FROM items_current c JOIN items i ON i.seq = c.seq WHERE i.project = ?1";
        let of: i64 = connection.prepare_cached(of)?.query_row([&self.project], |row| row.get(0))?;
        let mut best = Best::of(count);
        texts.ranked(of.unsigned_abs(), &mut best);
        // BM25 is unbounded; scores must lie below 1.
        Ok(best.in_order().map(|(seq, score)| (seq, score / (1.0 + score))).collect())
    }

    fn fits(&self, value: &str) -> rusqlite::Result<bool> {
        if self.filter.is_empty() {
            return Ok(true);
        }
        let value = serde_json::from_str(value).map_err(|_| malformed(7))?;
        Ok(self.filter.matches(&value))
    }

    /// The sequence numbers of at most `most` current items, last changed first. Does not read the values, which may be
    /// large.
    fn standing(&self, connection: &Connection, most: usize) -> rusqlite::Result<Vec<i64>> {
        let standing = standing(&self.prefix);
        let sql = format!("SELECT i.seq FROM items i WHERE {standing} ORDER BY i.seq DESC LIMIT :most");
        let most = i64::try_from(most).expect("a hundred thousand");
        let mut found = Vec::new();
        self.each(connection, &sql, &[(":most", &most)], |row| {
            found.push(row.get(0)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs a statement with the parameters `more` and with the search parameters that the statement uses.
    fn each(
        &self,
        connection: &Connection,
        sql: &str,
        more: &[(&str, &dyn ToSql)],
        mut step: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let bounds = self.moment.bounds(connection)?;
        let ours: [(&str, &dyn ToSql); 5] = [
            (":project", &self.project),
            (":prefix", &self.prefix),
            (":known_seq", &bounds.known_seq),
            (":known_time", &bounds.known_time),
            (":as_of", &bounds.as_of),
        ];
        let mut statement = connection.prepare_cached(sql)?;
        for (name, value) in ours.iter().chain(more) {
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            step(row)?;
        }
        Ok(())
    }
}

/// Result of a filter.
#[derive(Debug)]
pub enum Filtered {
    These(Vec<i64>),
    /// More items would have to be examined than a search may.
    TooMany,
}

#[derive(Debug, PartialEq, Eq)]
enum Full {
    Yes,
    No,
}

/// An answer that is being filled.
struct Page<'a> {
    search: &'a ItemSearch,
    connection: &'a Connection,
    bounds: Bounds,
    skipped: u32,
    bytes: usize,
    items: Vec<ItemView>,
    more: bool,
    is_too_large: bool,
}

impl<'a> Page<'a> {
    fn new(search: &'a ItemSearch, connection: &'a Connection) -> rusqlite::Result<Page<'a>> {
        let bounds = search.moment.bounds(connection)?;
        let (skipped, bytes, items) = (0, 0, Vec::new());
        Ok(Page { search, connection, bounds, skipped, bytes, items, more: false, is_too_large: false })
    }

    /// Adds an item if it matches the filter. Returns whether the answer is complete.
    fn put(&mut self, seq: i64, score: Option<f64>, filters: bool) -> rusqlite::Result<Full> {
        let filters = filters && !self.search.filter.is_empty();
        if !filters && self.skipped < self.search.offset {
            self.skipped += 1;
            return Ok(Full::No);
        }
        let one = format!("SELECT {} FROM items i WHERE i.seq = :seq", columns());
        let mut statement = self.connection.prepare_cached(&one)?;
        let mut rows = statement.query(named_params! {
            ":seq": seq, ":known_seq": self.bounds.known_seq, ":known_time": self.bounds.known_time,
        })?;
        let Some(row) = rows.next()? else { return Ok(Full::No) };
        if filters && !self.search.fits(row.get_ref(7)?.as_str()?)? {
            return Ok(Full::No);
        }
        if self.skipped < self.search.offset {
            self.skipped += 1;
            return Ok(Full::No);
        }
        if self.items.len() == self.search.limit as usize {
            self.more = true;
            return Ok(Full::Yes);
        }
        let item = view(self.connection, row, score)?;
        self.bytes += item.value.get().len();
        if self.bytes > ANSWER_BYTES_MAX && !self.items.is_empty() {
            self.is_too_large = true;
            return Ok(Full::Yes);
        }
        self.items.push(item);
        Ok(Full::No)
    }

    fn ended(self) -> rusqlite::Result<Items> {
        let Page { items, more, is_too_large, connection, .. } = self;
        let applied_seq = applied(connection)?;
        let answer = ItemsAnswer { items, more, applied_seq, degraded: Vec::new() };
        Ok(if is_too_large { Items::TooLarge } else { Items::Found(answer) })
    }
}
