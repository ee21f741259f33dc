//! The projection: SQLite tables built from the log. It can be deleted and rebuilt at any time.
//!
//! - Writing: [`projector`] is the thread that follows the log; [`store`] writes, [`rows`] turns events into rows,
//!   [`schema`] defines the tables, [`values`] converts values, [`sql_functions`] adds an SQL function.
//! - Building: [`build`] makes a new projection while the current one serves, for a [`cause`], in a background
//!   [`background_job`]; [`mod@files`] publishes it; [`reserve`] keeps disk space for a start on a full volume;
//!   [`store_error`] classifies failures.
//! - Checking: [`scrub`] verifies a projection while it serves, [`mod@examine`] from another process; [`row_digest`]
//!   computes the digest over the rows of all tables.
//! - Reading: [`shared`] is the interface for the rest of the engine; [`readers`] holds connections;
//!   [`read_scheduling`] shares reads fairly among client addresses, which are set in [`client_address`];
//!   [`project_versions`] tells whether cached answers are current.
//! - Queries: [`search`], [`mod@entries`], [`memory_view`], [`duplicate_texts`] and [`validity`] for memories;
//!   [`items`], [`item_search`] and [`item_changes`] for items; [`mod@graph`] and [`graph_batches`] for the graph;
//!   [`catalog_rows`] for the retrieval's catalogs; [`text_ranking`] and [`top_matches`] rank; [`retention`] finds
//!   candidates for removal.
//! - Comparing: [`mod@known_item`] finds memories to ask for.
//! - Forgetting: [`forget_targets`] selects memories, [`forgetting`] removes their rows, [`trace_files`] searches for
//!   remaining copies.
//! - [`metrics`] counts.

mod background_job;
mod build;
mod catalog_rows;
mod cause;
mod client_address;
mod duplicate_texts;
mod entries;
mod examine;
mod files;
mod forget_targets;
mod forgetting;
mod graph;
mod graph_batches;
mod item_changes;
mod item_search;
mod items;
mod known_item;
mod memory_view;
mod metrics;
mod project_versions;
mod projector;
mod read_scheduling;
mod readers;
mod reserve;
mod retention;
mod row_digest;
mod rows;
mod schema;
mod scrub;
mod search;
mod shared;
mod sql_functions;
mod store;
mod store_error;
mod text_ranking;
mod top_matches;
mod trace_files;
mod validity;
mod values;

pub use catalog_rows::{
    EndRow, MemoryRow, applied_seq, ends_after, exactly, forgotten_after, having_any, is_project_empty,
    memories_after, memories_of_all_after, memory_count, projects, setting, title_form, titled,
};
pub use client_address::ClientAddress;
pub use duplicate_texts::{DuplicateMemory, Text, earlier};
pub use entries::{Anchor, Stored, Timeline, citation, document, entries, history, project_of};
pub use examine::{Examined, Place, examine};
pub use files::directory;
pub use forget_targets::{Selected, count_same_text, rows_left, select};
pub use graph::{
    ExistingGraph, Graph, Pages, graph, memories_near, memories_near_at, neighbours, opened, searched,
};
pub use graph_batches::{ended_in, entities_in, observations_in, relations_in};
pub use item_changes::{item_changes_after, item_projects, items_after, items_having_any, refreshes_after};
pub use item_search::{Filtered, ItemSearch, Items};
pub use items::{ItemFile, ItemPlace, files, item, item_versions, namespaces, standing_items, timed};
pub use known_item::{KnownItem, known_item};
pub use metrics::ProjectionMetrics;
pub use projector::{Projector, Setting};
pub use retention::candidates;
pub use search::{
    ContextMemory, Found, Search, TAG_WEIGHT, TITLE_WEIGHT, full_memories, memory, shown_of_types,
};
pub use shared::{ProjectionShared, Rebuilt, Unreadable};
pub use store_error::{is_damage, without_data};
pub use top_matches::Best;
pub use trace_files::TraceFiles;
pub use validity::{Bounds, LogState, Moment, Target, target};

#[cfg(test)]
mod graph_and_items_test;
#[cfg(test)]
mod tests;
