//! The table "How to rotate each thing" of the security model: each row names the section of a guide with its commands,
//! and a test of the cluster runs them.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::guide_commands::Section;
use crate::paths;

const PAGE: &str = "docs/SECURITY-MODEL.md";
const HEADING: &str = "How to rotate each thing";

/// What the commands of a row replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The key of a client in a Secret.
    ClientKey,
    /// The keys of an issuer in a ConfigMap.
    IssuerKeys,
    /// The authority that signs certificates of clients.
    ClientAuthority,
    /// The token of the administration port that the operator makes.
    AdminToken,
    /// The token with which readers ask for the log.
    ReaderToken,
    /// The key with which an engine calls a service.
    ServiceKey,
    /// The certificate that the operator issues.
    Certificate,
    /// The authority of an engine.
    Authority,
    /// The key that signs checkpoints.
    LogKey,
}

impl Rotated {
    /// Each of them, with the first cell of its row.
    const ROWS: [(&str, Rotated); 9] = [
        ("key of a client", Rotated::ClientKey),
        ("key of an issuer", Rotated::IssuerKeys),
        ("authority of clients with certificates", Rotated::ClientAuthority),
        ("token of the administration port", Rotated::AdminToken),
        ("token of readers", Rotated::ReaderToken),
        ("key of a service outside", Rotated::ServiceKey),
        ("certificate of an engine", Rotated::Certificate),
        ("authority of an engine", Rotated::Authority),
        ("key of the log", Rotated::LogKey),
    ];
}

/// Rows about what no command of ours rotates.
const WITHOUT_COMMANDS: [&str; 2] = ["certificate of an Ingress or a gateway", "key of pseudonyms"];

/// Every row that has commands: what it rotates, and the section with the commands.
///
/// # Errors
/// A row has no test, names no section with commands, or is missing.
pub fn rotations() -> Result<Vec<(Rotated, Section)>> {
    let text = fs::read_to_string(paths::checkout_dir().join(PAGE)).context(PAGE)?;
    rotations_of(&text)
}

fn rotations_of(page: &str) -> Result<Vec<(Rotated, Section)>> {
    let (_, section) =
        page.split_once(&format!("\n## {HEADING}\n")).context("the page has no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut found = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, how, ..] = cells.as_slice() else { bail!("{row}: too few cells") };
        let links: Vec<Section> = how.split("](").skip(1).filter_map(linked).collect();
        if WITHOUT_COMMANDS.contains(what) {
            ensure!(links.is_empty(), "{what}: a row that names commands needs a test");
            continue;
        }
        let known = Rotated::ROWS.iter().find(|(cell, _)| cell == what);
        let (_, rotated) = known.with_context(|| format!("{what}: no test rotates it"))?;
        let [one] = <[Section; 1]>::try_from(links)
            .map_err(|links| anyhow::anyhow!("{what}: {} sections instead of one", links.len()))?;
        one.commands().with_context(|| what.to_string())?;
        ensure!(found.iter().all(|(before, _)| before != rotated), "{what}: two rows");
        found.push((*rotated, one));
    }
    let missing: Vec<_> = Rotated::ROWS
        .iter()
        .filter(|(_, rotated)| found.iter().all(|(row, _)| row != rotated))
        .map(|(what, _)| what)
        .collect();
    ensure!(missing.is_empty(), "rows are missing: {missing:?}");
    Ok(found)
}

/// The section that a link on the page names, from behind `](`; `None` if it names none.
fn linked(rest: &str) -> Option<Section> {
    let (target, _) = rest.split_once(')')?;
    let (page, anchor) = target.split_once('#')?;
    Some(Section { page: format!("docs/{page}"), anchor: anchor.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        fs::read_to_string(paths::checkout_dir().join(PAGE)).unwrap()
    }

    /// The tests of the cluster take the sections from here, and handle every one.
    #[test]
    fn every_row_about_a_rotation_has_commands_that_a_test_runs() {
        let rows = rotations().unwrap();
        assert_eq!(rows.len(), Rotated::ROWS.len());
    }

    #[test]
    fn a_row_without_a_test_or_without_commands_is_noticed() {
        let page = page();
        let with = |from: &str, to: &str| {
            assert!(page.contains(from), "{from}");
            rotations_of(&page.replace(from, to)).unwrap_err().to_string()
        };
        let row = "| key of the log |";
        assert!(with(row, "| key of something new |").contains("no test rotates it"));
        let twice =
            with(row, "| key of a client | [a](guide/secrets.md#a-rotation) | | |\n| key of the log |");
        assert!(twice.contains("two rows"), "{twice}");
        let gone = with(row, "\n## Other\n\n| key of the log |");
        assert!(gone.contains("rows are missing") && gone.contains("key of the log"), "{gone}");
        assert!(with("tls.md#a-new-authority", "tls.md").contains("0 sections"));
        assert!(with("tls.md#a-new-authority", "tls.md#what-it-costs").contains("authority of an engine"));
        assert!(with("tls.md#a-new-authority", "tls.md#nothing").contains("authority of an engine"));
        let named = with("as its controller says", "[so](guide/tls.md#a-new-authority)");
        assert!(named.contains("needs a test"), "{named}");
    }
}
