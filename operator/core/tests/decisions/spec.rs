//! Checks that only validation reads the raw spec.
#![expect(clippy::disallowed_methods, reason = "the sources are files of this repository")]

use std::{fs, path::Path};

/// Collects every line of Rust below `folder` except tests, as pairs of file and line.
fn lines(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            lines(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).expect("a source");
            let file = path.display().to_string();
            found.extend(text.lines().map(|line| (file.clone(), line.trim().to_owned())));
        }
    }
}

/// Code outside of validation uses only `Valid` and `Essentials`, so that it never uses a field that was not checked.
#[test]
fn nothing_behind_validation_reads_the_spec() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    lines(&core.join("src"), &mut all);
    lines(&core.join("../src"), &mut all);
    let reads = all.iter().filter(|(_, line)| line.contains("engine.spec"));
    let (validating, others): (Vec<_>, Vec<_>) =
        reads.partition(|(file, line)| file.contains("/src/validate") || line.contains("Essentials::of("));
    assert!(!validating.is_empty(), "the spec is read somewhere");
    assert_eq!(others, Vec::<&(String, String)>::new());
}
