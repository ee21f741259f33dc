//! This program, for the processes of the cluster.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Path of the `e2e` program: this executable, or the one beside it when this is a test.
pub(super) fn e2e_program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    if own.file_name().is_some_and(|name| name == "e2e") {
        return Ok(own);
    }
    // target/debug/deps/suite-0123 → target/debug/e2e
    let program = own.ancestors().nth(2).map(|dir| dir.join("e2e")).filter(|path| path.exists());
    program.context("the program `e2e` is not built: `cargo build -p e2e`")
}
