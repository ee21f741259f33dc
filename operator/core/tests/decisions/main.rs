//! What the operator decides, tested from the outside: worlds go in, plans and statuses come out.

mod anchors;
mod configurations;
mod history;
mod integrity;
mod plans;
mod pods;
mod projections;
mod properties;
mod statuses;
mod world;
