//! A simulated world for the ladder of revisions.
//!
//! The decisions are those of `operator_core::rollout`; everything else is simulated and follows from a seed: pods,
//! clock, questions and their answers, users, old caches, and an operator that ends after any write. Named invariants
//! are checked after every event, and each world has to come to rest. Campaigns count how many clean revisions are
//! rolled back and how many harmful ones are not, and the same questions are judged by models of other rules.

mod campaign;
mod cluster;
mod dice;
mod figures;
mod invariants;
mod low_traffic;
mod measure;
mod operator;
mod page;
mod peers;
mod questions;
mod steps;
mod world;

pub use campaign::{Campaign, campaign, peeked};
pub use dice::Dice;
pub use figures::{Figures, pairs_until_verdict};
pub use invariants::Broken;
pub use low_traffic::{LowTraffic, Rates, low_traffic};
pub use measure::{Size, measured};
pub use operator::Judge;
pub use page::{Report, chart, ours, page, tables};
pub use questions::{Effect, Noise, Questions};
pub use world::{Ended, Plan, run};
