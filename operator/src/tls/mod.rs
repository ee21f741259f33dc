//! The certificates of engines: reads them from their Secrets, issues them, and connects with them.

mod clients;
mod given;
#[cfg(test)]
mod given_tests;
mod issue;
mod material;
#[cfg(test)]
mod tests;

pub(crate) use clients::Clients;
pub(crate) use given::{authorities, copy_write, delivered, judged};
pub(crate) use issue::{IssueError, issued};
pub(crate) use material::{material, roots};
