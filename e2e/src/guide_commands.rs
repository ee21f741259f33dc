//! The commands that the guides show, run as they stand there, with another namespace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::cluster::{self, Cluster};
use crate::{command, paths};

/// Namespace in the commands of the guides.
const GUIDE_NAMESPACE: &str = "team-a";
/// Longest run of the commands of a section: some wait for five minutes.
const LIMIT: Duration = Duration::from_secs(330);

/// A section of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Path below the checkout.
    pub page: String,
    /// What a link to the section has after `#`.
    pub anchor: String,
}

impl Section {
    /// The commands of the section.
    ///
    /// # Errors
    /// The page has no such section, or the section has no commands.
    pub fn commands(&self) -> Result<String> {
        let Self { page, anchor } = self;
        let text = fs::read_to_string(paths::checkout_dir().join(page)).with_context(|| page.to_owned())?;
        let section =
            of_anchor(&text, anchor).with_context(|| format!("{page} has no section {anchor:?}"))?;
        let blocks = section.split("\n```sh\n").skip(1);
        let commands: Vec<&str> = blocks.filter_map(|block| block.split("\n```").next()).collect();
        ensure!(!commands.is_empty(), "{page}#{anchor}: no commands");
        Ok(commands.join("\n"))
    }
}

/// The text from the heading with this anchor to the next one that is not below it.
fn of_anchor<'a>(page: &'a str, anchor: &str) -> Option<&'a str> {
    let mut found: Option<(usize, usize)> = None;
    let (mut offset, mut in_block) = (0, false);
    for line in page.split_inclusive('\n') {
        in_block ^= line.starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let is_heading = !in_block && level > 0 && line[level..].starts_with(' ');
        match found {
            Some((start, below)) if is_heading && level <= below => return Some(&page[start..offset]),
            None if is_heading && anchor_of(&line[level..]) == anchor => found = Some((offset, level)),
            _ => {}
        }
        offset += line.len();
    }
    found.map(|(start, _)| &page[start..])
}

/// The anchor of a heading, as GitHub makes it.
fn anchor_of(heading: &str) -> String {
    let plain = heading.trim().to_lowercase();
    let kept = plain.chars().filter(|one| one.is_alphanumeric() || [' ', '-', '_'].contains(one));
    kept.map(|one| if one == ' ' { '-' } else { one }).collect()
}

/// Runs commands of a guide in this namespace, beside these files. `memory-engine` is the program in the pod of the
/// engine `notes`.
///
/// # Errors
/// A command fails.
pub async fn run(
    cluster: &Cluster,
    namespace: &str,
    commands: &str,
    files: &[(&str, &str)],
) -> Result<String> {
    let kubectl = cluster::tool_path("kubectl")?;
    let (programs, directory) = (tempfile::tempdir()?, tempfile::tempdir()?);
    for (name, text) in files {
        fs::write(directory.path().join(name), text)?;
    }
    let engine = format!(
        "#!/bin/sh\nexec {} exec -n {namespace} notes-0 -- memory-engine \"$@\"\n",
        kubectl.display()
    );
    let path = programs.path().join("memory-engine");
    fs::write(&path, engine)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink(&kubectl, programs.path().join("kubectl"))?;
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &commands.replace(GUIDE_NAMESPACE, namespace)]);
    let inherited = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{inherited}", programs.path().display()));
    bash.env("KUBECONFIG", std::path::absolute(cluster.kubeconfig())?).current_dir(directory.path());
    command::output(bash, LIMIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(anchor: &str) -> Result<String> {
        Section { page: "docs/guide/secrets.md".into(), anchor: anchor.into() }.commands()
    }

    #[test]
    fn the_commands_of_a_section_are_those_of_its_blocks() {
        let rotation = commands("a-rotation").unwrap();
        assert!(rotation.starts_with("old=$(kubectl get secret -n team-a"), "{rotation}");
        assert!(rotation.contains("# … give the client") && !rotation.contains("create job"), "{rotation}");
        assert!(commands("age").is_err(), "a section without commands");
        assert!(commands("nothing").is_err());
    }

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        let page = "# A\n\n## B c, d!\n\n```sh\n# no heading\n```\n\n### E\n\nf\n\n## G\n";
        let b = of_anchor(page, "b-c-d").unwrap();
        assert!(b.contains("# no heading") && b.contains("### E") && !b.contains("## G"), "{b}");
        assert_eq!(of_anchor(page, "e"), Some("### E\n\nf\n\n"));
        assert_eq!(of_anchor(page, "g"), Some("## G\n"));
        assert_eq!(of_anchor(page, "no-heading"), None);
    }
}
