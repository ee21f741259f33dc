//! Search for memories and items by words, by meaning and by structure.
//!
//! A *lane* is one retrieval method, for example BM25, vector similarity or the graph of relations. Some lanes also
//! select candidates; every lane scores each candidate. A learned weighted sum of the scores gives the ranking. The
//! modules, in the order in which a search uses them:
//!
//! * Entry points: [`search`] finds memories with all lanes, [`lexical`] finds memories by words alone, [`items`] finds
//!   items, [`checkout`] builds a context within a token budget. [`provider_results`] holds the results of external
//!   providers, which are requested before the search runs.
//! * Query and ranking: [`query`] is a query in the terms of one project, with its filters; [`lanes`] scores
//!   candidates; [`late_interaction`] compares token by token; [`rank`] selects candidates and orders them.
//! * Catalogs: a [`catalog`] is the in-memory index of one project. [`shared_catalog`] keeps it in step with the
//!   projection, [`catalog_cache`] holds the catalogs of all projects within a memory limit, [`catalog_loader`] is the
//!   background thread that builds large ones, [`recent`] lists the projects to load at start. A catalog stores words
//!   in [`texts`], repeated names as numbers in [`names`], and vectors in [`vectors`] and [`external_vectors`].
//! * Embedding: [`model`] selects a model; [`built_in`] is the one in the binary and [`directory`] one in files.
//!   [`vectors`] computes the vectors of memories, [`rows`] stores them quantised and scans them.
//! * External models: [`providers`] is the client for embedding and rerank services. [`embeddings`] embeds every memory
//!   in the background and stores the vectors in a file, [`external_vectors_load`] copies these vectors into catalogs.
//! * [`metrics`] defines the metrics of all these modules.

mod built_in;
mod catalog;
mod catalog_cache;
mod catalog_loader;
mod catalog_text;
mod checkout;
mod directory;
pub mod embeddings;
mod external_vectors;
mod external_vectors_load;
mod items;
mod lanes;
mod late_interaction;
mod lexical;
mod metrics;
mod model;
mod names;
mod provider_results;
pub mod providers;
mod query;
mod rank;
mod recent;
mod rows;
mod search;
mod shared_catalog;
mod stages;
#[cfg(test)]
mod tests;
mod texts;
mod vectors;

pub use built_in::token_count;
pub use catalog_cache::CatalogCache;
pub use checkout::Checkout;
pub use directory::{BadModel, DirectoryModel};
pub use metrics::{ProviderMetrics, RetrievalMetrics};
pub use model::Model;
pub use provider_results::ProviderResults;
pub use search::Retrieval;
