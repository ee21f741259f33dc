//! The API types of `memoryengine.io` and the CustomResourceDefinitions generated from them.
//!
//! One kind per file, with its CEL rules beside it. What the schema can say, it says: defaults, bounds, patterns and
//! transition rules live here and nowhere else, so that a bad manifest is refused by the API server before the operator
//! ever sees it.

mod bounds;
mod definition;
mod patterns;
mod quantity;
mod rules;
mod v1alpha1;

pub use definition::to_yaml_value;
pub use quantity::{Quantity, QuantityError};
pub use v1alpha1::memory_engine::{self, *};

/// API group of every kind in this crate.
pub const GROUP: &str = "memoryengine.io";
/// Version served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as written in a manifest.
pub const API_VERSION: &str = "memoryengine.io/v1alpha1";
