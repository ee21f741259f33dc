//! The container images: built from this checkout, kept as archives, loaded into the local cluster.
//!
//! An archive's name carries a hash of the inputs of the build, so that unchanged images are not built again.

pub(crate) mod archive;
mod base;
mod buildah;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::cluster::Layout;
use crate::cluster::containerd;
use crate::cluster::given;
use crate::command;
use crate::lock::Lock;
use crate::packages;
use crate::paths;
use crate::steps::Steps;
use archive::{ENGINE_IMAGE, PAUSE_IMAGE, TOOLS_IMAGE, current_file, images_dir, key, short};
pub use archive::{NAMES, built};
pub(crate) use archive::{OBJECT_STORE_IMAGE, OPERATOR_IMAGE};
use buildah::Buildah;

/// Longest build from nothing on two busy cores; a hang must still end.
const CARGO_LIMIT: Duration = Duration::from_secs(3600);
const LOCK_LIMIT: Duration = CARGO_LIMIT;
/// Folder below the state folder. Its files record which archives the running cluster has loaded.
const LOADED: &str = "run/loaded";

/// Builds all images whose inputs changed; loads them if the local cluster is up.
///
/// # Errors
/// The binaries or an image do not build.
pub async fn build_all(steps: &Steps) -> Result<()> {
    packages::ensure(&packages::CLUSTER, steps).await?;
    {
        let _lock = lock().await?;
        build_pause(steps).await?;
        build_tools(steps).await?;
    }
    // The binaries are built without the lock: this may take minutes, and `cluster up` needs the lock for an instant.
    let [engine, operator] = binaries(steps).await?;
    {
        let _lock = lock().await?;
        build_product(ENGINE_IMAGE, "engine", &engine, steps).await?;
        build_product(OPERATOR_IMAGE, "operator", &operator, steps).await?;
    }
    let layout = Layout::from_env()?;
    if given::is_local() && layout.containerd_socket().exists() {
        load_built(&layout, steps).await?;
    }
    Ok(())
}

/// Builds the pause image, which every pod needs, if it does not exist.
///
/// # Errors
/// There is no C compiler, or the image does not build.
pub(crate) async fn ensure_pause(steps: &Steps) -> Result<()> {
    let _lock = lock().await?;
    build_pause(steps).await
}

/// Loads the images that are built and not loaded yet into the running cluster.
///
/// # Errors
/// An archive cannot be loaded.
pub(crate) async fn load_built(layout: &Layout, steps: &Steps) -> Result<()> {
    for image in [PAUSE_IMAGE].into_iter().chain(NAMES) {
        if built(image).is_ok() {
            load(layout, image, steps).await?;
        }
    }
    Ok(())
}

/// Builds the image of the object store if its program changed, and loads it if the local cluster is up.
///
/// # Errors
/// The image does not build, or cannot be loaded.
pub(crate) async fn ensure_object_store(program: &Path, steps: &Steps) -> Result<()> {
    packages::ensure(&packages::CLUSTER, steps).await?;
    let _lock = lock().await?;
    let containerfile = paths::checkout_dir().join("e2e/images/versitygw/Containerfile");
    let key = key(&[&fs::read(&containerfile)?, &fs::read(program)?]);
    build_if_new(OBJECT_STORE_IMAGE, &key, steps, async |buildah: &Buildah, tag: &str| {
        let context = tempfile::tempdir()?;
        fs::copy(program, context.path().join(short(OBJECT_STORE_IMAGE)))?;
        buildah.build(&containerfile, context.path(), &[], tag).await
    })
    .await?;
    let layout = Layout::from_env()?;
    if given::is_local() && layout.containerd_socket().exists() {
        load(&layout, OBJECT_STORE_IMAGE, steps).await?;
    }
    Ok(())
}

/// Loads an image into the running cluster, unless this build of it is loaded.
async fn load(layout: &Layout, image: &str, steps: &Steps) -> Result<()> {
    let archive = built(image)?;
    let marks = layout.at(LOADED);
    fs::create_dir_all(&marks)?;
    let mark = marks.join(archive.file_name().unwrap_or_default());
    if !mark.exists() {
        containerd::import(layout, &archive).await.with_context(|| format!("loading {image}"))?;
        fs::write(&mark, image)?;
        steps.say(&format!("loaded {image}"));
    }
    Ok(())
}

async fn lock() -> Result<Lock> {
    Lock::acquire(&images_dir().join("lock"), LOCK_LIMIT, "another build of the images").await
}

/// Builds engine and operator with cargo; returns the paths that cargo reports.
async fn binaries(steps: &Steps) -> Result<[PathBuf; 2]> {
    let profile = profile();
    steps.say(&format!(
        "building memory-engine and memory-operator (profile {profile}; the first time up to about 8 min on two cores)"
    ));
    let mut command = Command::new("cargo");
    command.current_dir(paths::checkout_dir()).args(["build", "--locked", "--profile", &profile]);
    command.args(["--package", "memory-engine", "--package", "memory-operator"]);
    // `.ci/test` compiles with clippy as the compiler, which does not optimise as the profile says.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("CLIPPY_ARGS");
    command.arg("--message-format=json-render-diagnostics");
    // cargo prints its own progress to the terminal.
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).stdout(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(CARGO_LIMIT, command.spawn()?.wait_with_output()).await;
    let output = output.context("cargo did not end")??;
    if !output.status.success() {
        bail!("cargo build: {}", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok([executable(&messages, "memory-engine")?, executable(&messages, "memory-operator")?])
}

/// The cargo profile of the programs in the images: `release`, unless a test run chooses another (Cargo.toml says why).
fn profile() -> String {
    env::var("E2E_IMAGES_PROFILE").unwrap_or_else(|_| "release".to_owned())
}

/// Finds the path of the executable `name` in cargo's messages, one JSON object per line.
fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let paths = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    let mut named = paths.filter(|path| path.file_name().is_some_and(|file| file == name));
    named.next().with_context(|| format!("cargo built no {name}"))
}

/// Builds an image of one of the programs with the Containerfile that platform teams use.
async fn build_product(image: &str, target: &str, binary: &Path, steps: &Steps) -> Result<()> {
    let containerfile = paths::checkout_dir().join("Containerfile");
    let base = base::PRODUCT;
    let key = key(&[&fs::read(&containerfile)?, &fs::read(binary)?, base.key().as_bytes()]);
    build_if_new(image, &key, steps, async |buildah: &Buildah, tag: &str| {
        let base = buildah.import(&base.ensure(steps).await?).await?;
        let context = tempfile::tempdir()?;
        let out = context.path().join("out");
        fs::create_dir(&out)?;
        fs::copy(binary, out.join(short(image)))?;
        let binaries = format!("build={}", context.path().display());
        let base = format!("BASE={base}");
        let options = ["--target", target, "--build-arg", &base, "--build-context", &binaries];
        buildah.build(&containerfile, context.path(), &options, tag).await?;
        let program = format!("/usr/bin/{}", short(image));
        buildah.try_out(tag, &program).await.with_context(|| format!("{program} does not start in {image}"))
    })
    .await
}

async fn build_tools(steps: &Steps) -> Result<()> {
    let dir = paths::checkout_dir().join("e2e/images/e2e-tools");
    let containerfile = dir.join("Containerfile");
    let base = base::TOOLS;
    let key = key(&[&fs::read(&containerfile)?, base.key().as_bytes()]);
    build_if_new(TOOLS_IMAGE, &key, steps, async |buildah: &Buildah, tag: &str| {
        let base = format!("BASE={}", buildah.import(&base.ensure(steps).await?).await?);
        buildah.build(&containerfile, &dir, &["--build-arg", &base], tag).await
    })
    .await
}

async fn build_pause(steps: &Steps) -> Result<()> {
    let dir = paths::checkout_dir().join("e2e/images/pause");
    let (source, containerfile) = (dir.join("pause.c"), dir.join("Containerfile"));
    let key = key(&[&fs::read(&source)?, &fs::read(&containerfile)?]);
    build_if_new(PAUSE_IMAGE, &key, steps, async |buildah: &Buildah, tag: &str| {
        let context = tempfile::tempdir()?;
        let program = context.path().join("pause").display().to_string();
        let source = source.display().to_string();
        let arguments = ["-Os", "-static", "-s", "-o", &program, &source];
        command::run("cc", &arguments, Duration::from_secs(60)).await.context("compiling pause.c")?;
        buildah.build(&containerfile, context.path(), &[], tag).await
    })
    .await
}

/// Builds and records an image, unless an image with this `key` is already recorded.
async fn build_if_new(
    image: &str,
    key: &str,
    steps: &Steps,
    build: impl AsyncFnOnce(&Buildah, &str) -> Result<()>,
) -> Result<()> {
    let name = format!("{}-{key}.tar", short(image));
    if built(image).is_ok_and(|archive| archive.ends_with(&name)) {
        return Ok(());
    }
    let buildah = Buildah::new(&images_dir())?;
    build(&buildah, image).await.with_context(|| format!("building {image}"))?;
    let unfinished = images_dir().join(format!(".{name}"));
    buildah.export(image, &unfinished).await?;
    fs::rename(unfinished, images_dir().join(&name))?;
    let before = fs::read_to_string(current_file(image)).unwrap_or_default();
    fs::write(current_file(image), &name)?;
    if !before.is_empty() && before != name {
        // The previous archive is no longer referenced and only takes up space.
        let _ = fs::remove_file(images_dir().join(before));
    }
    steps.say(&format!("built {image}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_cargos_messages() {
        let messages = "not json\n{\"reason\":\"x\",\"executable\":null}\n{\"executable\":\"/t/release/memory-engine\"}\n";
        assert_eq!(executable(messages, "memory-engine").unwrap(), Path::new("/t/release/memory-engine"));
        assert!(executable(messages, "memory-operator").is_err());
    }
}
