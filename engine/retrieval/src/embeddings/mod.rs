//! Vectors that a model outside makes: asked for one by one for searches, and in the background for every memory.
//!
//! [`store`] is the side file that keeps them, [`filler`] the thread that fills it. While there are none, or too few,
//! the built-in model answers, as it does when the one outside cannot be reached.

mod external_model;
mod filler;
mod store;
#[cfg(test)]
mod tests;

pub use external_model::{
    Answering, AskedOutside, EmbeddingStatus, Embeddings, Surroundings, directory, sent,
};
pub use store::{VectorStore, digest};
