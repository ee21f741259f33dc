//! Vectors of an external model. The vector of a query is requested for each search; memories are embedded in the
//! background.
//!
//! [`external_model`] is the interface for searches and reports, [`store`] the vector file, and [`worker`] the
//! background thread that fills the file, while [`room`] finds space for it. While too few memories have a vector, or
//! the external model cannot be reached, searches use the built-in model.

mod error;
mod external_model;
mod room;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod worker;

pub use external_model::{
    ActiveModel, EmbeddingDependencies, EmbeddingStatus, Embeddings, ExternalQueryVector, directory, sent,
};
pub use store::{VectorStore, digest};
