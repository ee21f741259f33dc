//! Ranking of memories, as pure functions. [`bm25`] scores words as [`crate::words`] splits them, [`text_style`]
//! analyses memories, [`question`] analyses queries, [`features`] computes the ranking features of a memory for a
//! query, [`weights`] combine them into one score, and [`packing`] fits memories into a context.

pub mod bm25;
pub mod features;
pub mod packing;
pub mod question;
pub mod text_style;
pub mod weights;
