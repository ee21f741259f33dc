//! `memory-operator validate`: judges manifests as the operator would, without a cluster or against one.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use operator_core::{
    manifest::{Format, Judged, MANIFEST_BYTES_MAX, ManifestFinding, Severity, engines, judge_file, render},
    names::FIELD_MANAGER,
    settings::Settings,
};

use crate::error::call;

/// Judges the MemoryEngines in manifests with the checks of the operator. Exit code 0: nothing is wrong. 1: something
/// is. 2: a file cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// A manifest, or a directory of manifests (*.yaml, *.yml, *.json); `-` is standard input. Can be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Also ask the API server of the present kubeconfig, which changes nothing.
    #[arg(long)]
    live: bool,

    /// Namespace of engines that name none; only with --live.
    #[arg(short = 'n', long, default_value = "default")]
    namespace: String,

    /// Form of the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
    Sarif,
}

impl Validate {
    /// Judges the manifests and prints the result.
    pub(crate) async fn run(&self, mut settings: Settings) -> ExitCode {
        // An operator has a default image, and one of its own; which ones, is not known here.
        settings.engine_image.get_or_insert_with(|| "default".to_owned());
        settings.operator_image.get_or_insert_with(|| "default".to_owned());
        match self.judge(&settings).await {
            Ok(judged) => {
                let format = match self.output {
                    Output::Text => Format::Text,
                    Output::Json => Format::Json,
                    Output::Sarif => Format::Sarif,
                };
                let text = render(&judged, format, env!("CARGO_PKG_VERSION"));
                // A reader that has read enough is no fault.
                let _closed = std::io::stdout().write_all(text.as_bytes());
                let is_fine = judged.iter().all(|one| one.findings.is_empty());
                if is_fine { ExitCode::SUCCESS } else { ExitCode::from(1) }
            }
            Err(error) => {
                eprintln!("memory-operator: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    async fn judge(&self, settings: &Settings) -> anyhow::Result<Vec<Judged>> {
        let mut judged = Vec::new();
        for file in expanded(&self.files)? {
            let text = read(&file)?;
            let name = file.display().to_string();
            let mut found = judge_file(&name, &text, settings).map_err(anyhow::Error::msg)?;
            if self.live {
                self.ask(&text, &mut found).await?;
            }
            judged.extend(found);
        }
        if judged.is_empty() {
            bail!("no MemoryEngine in these files");
        }
        Ok(judged)
    }

    /// Adds what the API server refuses: with the rules of its own version of the definition, and its admission
    /// policies.
    async fn ask(&self, text: &str, judged: &mut [Judged]) -> anyhow::Result<()> {
        let client = kube::Client::try_default().await.context("--live needs a kubeconfig")?;
        let kind = GroupVersionKind::gvk("memoryengine.io", "v1alpha1", "MemoryEngine");
        let resource = ApiResource::from_gvk_with_plural(&kind, "memoryengines");
        let params = PatchParams::apply(FIELD_MANAGER).dry_run().force();
        for (one, object) in judged.iter_mut().zip(engines(text)) {
            let namespace = object.pointer("/metadata/namespace").and_then(serde_json::Value::as_str);
            let namespace = namespace.unwrap_or(&self.namespace);
            let name =
                object.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let answer = call(api.patch(name, &params, &Patch::Apply(&object))).await;
            let refusal = answer.err().map(|error| ManifestFinding {
                severity: Severity::Error,
                rule: "ApiServer".to_owned(),
                text: error.to_string(),
            });
            one.findings.extend(refusal);
        }
        Ok(())
    }
}

/// Replaces directories by the manifests in them, sorted.
fn expanded(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in files {
        if !file.is_dir() {
            found.push(file.clone());
            continue;
        }
        let entries = std::fs::read_dir(file).with_context(|| file.display().to_string())?;
        let mut inside: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        inside.retain(|path| is_manifest(path));
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

fn is_manifest(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let taken = match path.to_str() {
        Some("-") => std::io::stdin().take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text),
        _ => File::open(path)
            .with_context(|| path.display().to_string())?
            .take(MANIFEST_BYTES_MAX + 1)
            .read_to_string(&mut text),
    };
    let bytes = taken.with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes as u64 > MANIFEST_BYTES_MAX {
        bail!("{} has more than {MANIFEST_BYTES_MAX} bytes", path.display());
    }
    Ok(text)
}
