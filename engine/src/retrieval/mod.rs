//! Finding memories by words, meaning and the structure they were saved in.
//!
//! [`catalog`] is what is kept in memory of a project, [`catalogs`] keeps it in step with the projection; [`model`] and
//! [`vectors`] are the lane of meaning, [`late`] compares token by token; [`rank`] puts one score to each memory, [`search`] is
//! the whole of it.

mod catalog;
mod catalogs;
mod checkout;
mod late;
mod model;
mod names;
mod rank;
mod search;
#[cfg(test)]
mod tests;
mod vectors;

pub(crate) use catalogs::Catalogs;
pub(crate) use checkout::Checkout;
pub(crate) use model::Model;
pub(crate) use search::Retrieval;
