//! Finding memories by words, meaning and the structure they were saved in.
//!
//! [`catalog`] is what is kept in memory of a project, [`held`] keeps it in step with the projection, [`catalogs`] are
//! those of all projects, [`loader`] makes the large ones and those that were searched last ([`recent`]); [`texts`]
//! are their words; [`model`], [`vectors`] and [`rows`] are the lane of meaning, [`outside`] its vectors where a
//! service makes them, [`directory`] a model in files; [`late`] compares token by token; [`lanes`] score each memory,
//! [`rank`] makes one score of it, [`search`] is the whole of it for memories, [`lexical`] by words alone, [`items`]
//! the same for items, with what services have said beforehand in [`asked`].

mod built_in;
mod catalog;
mod catalog_cache;
mod catalog_loader;
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
