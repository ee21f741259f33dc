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

/// The commands of a section of a page.
///
/// # Errors
/// The page has no such section, or the section has no commands.
pub fn commands(page: &str, heading: &str) -> Result<String> {
    let text = fs::read_to_string(paths::checkout_dir().join(page)).with_context(|| page.to_owned())?;
    let begin = format!("\n## {heading}\n");
    let (_, section) =
        text.split_once(&begin).with_context(|| format!("{page} has no section {heading:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("\n```sh\n").skip(1);
    let commands: Vec<&str> = blocks.filter_map(|block| block.split("\n```").next()).collect();
    ensure!(!commands.is_empty(), "{page}, {heading:?}: no commands");
    Ok(commands.join("\n"))
}

/// Runs commands of a guide in this namespace. `memory-engine` is the program in the pod of the engine `notes`.
///
/// # Errors
/// A command fails.
pub async fn run(cluster: &Cluster, namespace: &str, commands: &str) -> Result<String> {
    let kubectl = cluster::tool_path("kubectl")?;
    let programs = tempfile::tempdir()?;
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
    bash.env("KUBECONFIG", cluster.kubeconfig());
    command::output(bash, LIMIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_section_are_those_of_its_blocks() {
        let rotation = commands("docs/guide/secrets.md", "A rotation").unwrap();
        assert!(rotation.starts_with("old=$(kubectl get secret -n team-a"), "{rotation}");
        assert!(!rotation.contains("create job"), "another section: {rotation}");
        assert!(commands("docs/guide/secrets.md", "Age").is_err(), "a section without commands");
        assert!(commands("docs/guide/secrets.md", "Nothing").is_err());
    }
}
