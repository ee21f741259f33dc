//! Vectors of an external model: of queries on request, and of every memory in the background.
//!
//! [`external_model`] is the interface for searches and reports, [`store`] the vector file, [`worker`] the background
//! thread that fills it. While too few memories have a vector, or the model cannot be reached, the built-in model
//! answers.

mod external_model;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod worker;

pub use external_model::{
    ActiveModel, EmbeddingDependencies, EmbeddingStatus, Embeddings, ExternalQueryVector, directory, sent,
};
pub use store::{VectorStore, digest};
