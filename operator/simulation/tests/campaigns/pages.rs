//! The committed page.

use std::path::Path;

use rollout_simulation::{Size, chart, measured, page};

fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What comes before and after the figures.
fn text(page: &str) -> (&str, &str) {
    let (before, rest) = page.split_once("## Figures").expect("figures");
    (before, rest.split_once("## Where the bound ends").expect("bounds").1)
}

/// Cells of a table that are not figures.
fn words(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('|').take(2)).map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// The figures take minutes, so that only their table and the text are compared.
#[test]
fn the_committed_page_is_that_of_the_program() {
    let small = measured(&Size { worlds: 20, low_runs: 2, pairs_runs: 2 });
    let report = rollout_simulation::Report { command: measured_command(), ..small };
    let (new, old) = (page(&report), committed("LADDER.md"));
    assert_eq!(text(&new), text(&old), "run the command at the head of docs/LADDER.md");
    assert_eq!(words(&new), words(&old));
    let rules = |svg: &str| svg.split("text-anchor=\"end\">").skip(1).count();
    assert_eq!(rules(&chart(&report)), 5);
    assert_eq!(rules(&committed("images/ladder.svg")), 5);
}

fn measured_command() -> String {
    let page = committed("LADDER.md");
    let command = page.split('`').nth(1).expect("the command").to_owned();
    assert!(command.contains(&format!("--seeds {}", Size::published().worlds)), "{command}");
    command
}

/// The number in a cell of a row that begins with these words.
fn cell(page: &str, row: &str, column: usize) -> u64 {
    let line =
        page.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap_or_else(|| panic!("{row}"));
    line.split('|').nth(column).expect("a cell").trim().parse().expect("a number")
}

#[test]
fn the_committed_figures_keep_the_limits() {
    let page = committed("LADDER.md");
    assert_eq!(cell(&page, "clean", 2), 10_000);
    assert!(cell(&page, "clean", 3) <= 60 && cell(&page, "clean", 5) == 0);
    for harm in rollout_simulation::Effect::HARMS {
        let row = |column| cell(&page, harm.words(), column);
        assert!(row(2) == 1_000 && row(4) <= 4 && row(5) == 0, "{harm:?}");
    }
}
