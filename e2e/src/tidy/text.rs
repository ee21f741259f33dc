//! The form of texts: width of lines, requirement ids, lints of the fuzz crate.

use super::{Source, assert_none, read, source, sources};

/// Columns of a line of source or prose.
const COLUMNS_MAX: usize = 120;

/// Lines that are too wide. Literals of strings in code, rows of tables and addresses cannot be broken.
fn wide_lines(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in files {
        let is_code = file.ends_with(".rs");
        let mut in_block = false;
        for (line, place) in text.lines().zip(1..) {
            in_block ^= !is_code && line.trim_start().starts_with("```");
            let exempt = if is_code {
                !line.trim_start().starts_with("//")
            } else {
                in_block || line.starts_with('|') || line.split_whitespace().any(|word| word.len() > 80)
            };
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !exempt {
                faults.push(format!("{file}:{place}: {columns} columns, at most {COLUMNS_MAX}"));
            }
        }
    }
    faults
}

/// Pages that a command writes.
const GENERATED: [&str; 2] = ["docs/PERFORMANCE.md", "docs/COMPATIBILITY-RESULTS.md"];

#[test]
fn lines_are_not_wider_than_a_page() {
    let pages = sources(".md").into_iter().filter(|(page, _)| !GENERATED.contains(&page.as_str()));
    assert_none(&wide_lines(&pages.chain(sources(".rs")).collect::<Vec<_>>()));
    let long = "long ".repeat(30);
    let files = [
        source("a.md", &format!("{long}\n| {long} |\n```\n{long}\n```\n")),
        source("a.rs", &format!("    // {long}\n    let text = \"{long}\";\n")),
    ];
    assert_eq!(wide_lines(&files).len(), 2);
}

/// Ids of requirements, such as a letter and a number in brackets: the reader of the repository has no list of them.
fn requirement_ids(files: &[Source]) -> Vec<String> {
    let is_id = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().is_some_and(|letter| "LDGSOCM".contains(letter));
        let digits = letters.as_str();
        first && !digits.is_empty() && digits.len() <= 2 && digits.chars().all(|digit| digit.is_ascii_digit())
    };
    let mut faults = Vec::new();
    for (file, text) in files {
        for (line, place) in text.lines().zip(1..) {
            let brackets = line.split('(').skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
            if brackets.into_iter().any(|inside| inside.split(", ").all(is_id)) {
                faults.push(format!("{file}:{place}: names a requirement by its id"));
            }
        }
    }
    faults
}

#[test]
fn no_text_names_a_requirement_by_its_id() {
    assert_none(&requirement_ids(&[sources(".rs"), sources(".md")].concat()));
    let file = source("a.md", concat!("Kept (", "M6) and (", "L1, O9).\nf(M) and (A4) and (L123)\n"));
    assert_eq!(requirement_ids(&[file]).len(), 1);
}

/// The lines of a manifest that set lints.
fn lints(manifest: &str, section: &str, end: &str) -> Vec<String> {
    let start = manifest.find(section).unwrap_or(manifest.len());
    let rest = &manifest[start..];
    let lines = rest[..rest.find(end).unwrap_or(rest.len())].lines();
    let set = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    set.map(|line| line.replace("workspace.", "")).collect()
}

#[test]
fn the_fuzz_crate_has_the_lints_of_the_workspace() {
    let workspace = lints(&read("Cargo.toml"), "[workspace.lints.", "[profile");
    assert!(workspace.len() > 10, "{workspace:?}");
    assert_eq!(lints(&read("fuzz/Cargo.toml"), "[lints.", "[[bin]]"), workspace);
    let one = "[workspace.lints.rust]\na = 1\n# why\n[profile.dev]\n";
    assert_eq!(lints(one, "[workspace.lints.", "[profile"), ["[lints.rust]", "a = 1"]);
}

#[test]
fn functions_have_one_limit_everywhere() {
    for (krate, ..) in super::CRATES {
        let limits = read(&format!("{krate}/clippy.toml"));
        assert!(limits.contains("too-many-lines-threshold = 70\n"), "{krate}/clippy.toml");
    }
}
