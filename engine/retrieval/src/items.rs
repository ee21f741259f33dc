//! Search for items, with the same lanes and the same learned weights as for memories.

use std::collections::BTreeMap;
use std::time::Instant;

use engine_core::retrieval::features::Counted;
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::tags::Tags;
use engine_core::wire::Degraded;
use rusqlite::Connection;

use super::query::{Filters, Found, Query};
use super::rank::LANE_TOP;
use super::search::{MEMORY, Retrieval, lane, without_catalogs};
use super::shared_catalog::{CatalogKey, Extent};
use super::stages::{Stage, StageTimes};
use engine_projection::{Bounds, Filtered, ItemSearch, Items, items_having_any};

/// Items with their scores, best first, and the retrieval methods (lanes) that were left out.
type RankedItems = (Vec<(i64, f64)>, Vec<Degraded>);

impl Retrieval {
    /// Answers a search for items from one snapshot of the projection. With `all_are_wanted`, items that did not match
    /// follow the matches.
    ///
    /// # Errors
    /// If the projection cannot be read.
    pub fn items(
        &self,
        connection: &Connection,
        search: &ItemSearch,
        all_are_wanted: bool,
    ) -> rusqlite::Result<Items> {
        let moment = connection.unchecked_transaction()?;
        let Some(words) = search.asked() else { return search.newest(&moment) };
        let among = match search.filtered(&moment)? {
            Some(Filtered::TooMany) => return Ok(Items::TooMany),
            Some(Filtered::These(these)) => Some(these),
            None => None,
        };
        let question = AnalysedQuery::read(words);
        let (ranked, degraded) = match question.words.is_empty() {
            // The query has only punctuation, so no word can match.
            true => (Vec::new(), Vec::new()),
            false => self.ranked_items(&moment, search, &question, among.as_deref())?,
        };
        self.count("items_search", &degraded);
        let mut answer = search.ranked(&moment, &ranked, all_are_wanted)?;
        if let Items::Found(found) = &mut answer {
            found.degraded = degraded;
        }
        Ok(answer)
    }

    /// Items with scores between 0 and 1, best first.
    fn ranked_items(
        &self,
        connection: &Connection,
        search: &ItemSearch,
        question: &AnalysedQuery,
        among: Option<&[i64]>,
    ) -> rusqlite::Result<RankedItems> {
        let bounds = search.moment.bounds(connection)?;
        let mut degraded = Vec::new();
        let by_texts = |degraded: Vec<Degraded>| -> rusqlite::Result<RankedItems> {
            let ranked = search.best_by_texts(connection, &question.kept(&[]).join(" "), among, LANE_TOP)?;
            Ok((ranked, degraded))
        };
        // A catalog holds only the latest version of each item. If the log is readable only up to an integrity fault,
        // older versions may be the current ones.
        if bounds.known_seq != i64::MAX {
            return by_texts(without_catalogs("integrity").collect());
        }
        let held = match self.current_catalog(connection, &CatalogKey::items(&search.project))? {
            Ok(held) => held,
            Err(missing) => return by_texts(without_catalogs(missing.reason()).collect()),
        };
        let state = held.read();
        if state.extent == Extent::Words {
            degraded.push(Degraded { lane: "vector".to_owned(), reason: MEMORY.to_owned() });
        }
        let weights = self.weights(connection)?.normalised();
        let counted = Counted::by(&weights);
        let tags = Tags::default();
        let filters = filters(search, &tags, among, bounds);
        let times = StageTimes::default();
        let started = Instant::now();
        let new = || Query::new(&state.catalog, question, None, counted.compares_tokens());
        let mut query = times.measure(Stage::Embed, new);
        let lexical = times.measure(Stage::Retrieve, || {
            let terms = if counted.by_words { query.selective_terms() } else { Vec::new() };
            query.best_by_words(&filters, |each| items_having_any(connection, &terms, each))
        });
        let lexical = lane("lexical", lexical, &mut degraded)?;
        let found = Found { lexical, exact: Vec::new(), graph: BTreeMap::new() };
        let ranked = query.rank(&found, &filters, &weights, &times);
        times.add(Stage::Total, started.elapsed());
        times.count(&self.metrics.stages);
        // Weights may be negative, so the weighted sum may be negative too.
        let ranked = ranked.into_iter().map(|found| (found.seq, found.score.clamp(0.0, 1.0))).collect();
        Ok((ranked, degraded))
    }
}

fn filters<'a>(
    search: &'a ItemSearch,
    tags: &'a Tags,
    among: Option<&'a [i64]>,
    bounds: Bounds,
) -> Filters<'a> {
    Filters {
        kind: None,
        session: None,
        tags,
        below: Some(search.prefix.as_str()),
        among,
        bounds,
        for_context: false,
    }
}
