//! What ranks memories, as pure functions: [`bm25`] scores words as [`crate::words`] cuts them, [`voice`] is what a
//! memory is by the way it is said, [`question`] what a query asks for, [`features`] puts numbers to a memory beside a
//! query, and [`weights`] make one score of them; [`packing`] fits memories into a context.

pub mod bm25;
pub mod features;
pub mod packing;
pub mod question;
pub mod voice;
pub mod weights;
