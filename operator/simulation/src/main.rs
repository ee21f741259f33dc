//! Runs the campaigns, prints their tables, and writes docs/LADDER.md and its chart.

use std::{path::Path, process::ExitCode};

use rollout_simulation::{Report, Size, chart, measured, page, tables};

const USAGE: &str = "usage: rollout-simulation [--seeds N] [--write DOCS]\n\
                     N: worlds with a clean revision (10000); a tenth of it for each harm\n\
                     DOCS: the folder in which LADDER.md and images/ladder.svg are written";
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((seeds, folder)) = parsed(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = measured(&Size { worlds: seeds, ..Size::published() });
    println!("{}", tables(&report));
    for (seed, broken) in
        report.clean.broken.iter().chain(report.harms.iter().flat_map(|(_, one)| &one.broken))
    {
        println!("seed {seed}: {}: {}", broken.rule, broken.seen);
    }
    match folder.map(|folder| write(Path::new(&folder), &report)) {
        Some(Err(error)) => {
            eprintln!("the page could not be written: {error}");
            ExitCode::FAILURE
        }
        Some(Ok(())) | None => ExitCode::SUCCESS,
    }
}

fn parsed(arguments: &[String]) -> Option<(u64, Option<String>)> {
    let (mut seeds, mut folder) = (Size::published().worlds, None);
    for pair in arguments.chunks(2) {
        match pair {
            [key, value] if key == "--seeds" => seeds = value.parse().ok()?,
            [key, value] if key == "--write" => folder = Some(value.clone()),
            _ => return None,
        }
    }
    Some((seeds, folder))
}

fn write(folder: &Path, report: &Report) -> std::io::Result<()> {
    std::fs::write(folder.join("LADDER.md"), page(report))?;
    std::fs::write(folder.join("images/ladder.svg"), chart(report))
}
