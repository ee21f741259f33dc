//! Campaigns of simulated worlds. `CAMPAIGN=10` runs ten times as many seeds.

mod gates;
mod pages;
mod worlds;
