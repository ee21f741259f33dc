//! Version `v1alpha1`: one kind per file.

pub mod memory_engine;
