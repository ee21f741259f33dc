//! Finding memories by words, meaning and the structure they were saved in.
//!
//! [`catalog`] is what is kept in memory of a project, [`held`] keeps it in step with the projection, [`catalogs`] are
//! those of all projects, [`loader`] makes the large ones and those that were searched last ([`recent`]); [`texts`]
//! are their words; [`model`], [`vectors`] and [`rows`] are the lane of meaning, [`outside`] its vectors where a
//! service makes them, [`directory`] a model in files; [`late`] compares token by token; [`lanes`] score each memory,
//! [`rank`] makes one score of it, [`search`] is the whole of it for memories, [`lexical`] by words alone, [`items`]
//! the same for items, with what services have said beforehand in [`asked`].

mod asked;
mod catalog;
mod catalogs;
mod checkout;
mod directory;
mod held;
mod items;
mod lanes;
mod late;
mod lexical;
mod loader;
mod model;
mod names;
mod outside;
mod rank;
mod recent;
mod rows;
mod search;
#[cfg(test)]
mod tests;
mod texts;
mod vectors;

pub(crate) use asked::Asked;
pub(crate) use catalogs::Catalogs;
pub(crate) use checkout::Checkout;
pub(crate) use directory::{BadModel, DirectoryModel};
pub(crate) use model::{Model, token_count};
pub(crate) use search::Retrieval;
