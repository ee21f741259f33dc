//! `memory-engine backup`: takes backups, lists them, verifies one by restoring it, and restores.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use engine_archive::{
    Archive, ArchiveMetrics, ArchiveSettings, EngineFacts, PruneError, Repository, RestoreError, Restored,
    Retention, StoppedEngine, Until, Wanted, first_backup, forget_check, prune, restore,
};
use engine_core::archive::name::ManifestName;
use engine_core::configuration::{self, Author, Backup};
use engine_core::digest::Hash;
use engine_core::wire::{BackupTaken, Pruned};
use engine_log::Offline;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use service::Registry;
use service::secret_file::Exposed;

use crate::admin_client::{Admin, Method, ask};
use crate::backup_drill::{Drilled, drill};
use crate::backup_output::{Bar, table};
use crate::stdout::{print, print_json};
use crate::termination_log::JobArgs;
use crate::token_command::read_token;

/// Backups that stay by default, as for an engine.
const KEEP_LAST: u64 = 14;
const KEEP_DAYS: u64 = 30;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Take a backup: of a running engine with --admin, or of a stopped one with --data and --store
    Create(CreateArgs),
    /// List the logs and the backups of an archive
    List {
        #[command(flatten)]
        store: StoreArgs,
        /// Id of the log; all of them by default
        #[arg(long, value_name = "ID")]
        log: Option<String>,
        /// Print JSON on a terminal too
        #[arg(long)]
        json: bool,
    },
    /// Verify a backup: restore it into a temporary directory, build the projection, and use an engine on it
    ///
    /// Prints one JSON object. Exit code 0: it verifies. 1: it does not, and `damaged` names the objects. 2: it could
    /// not be checked.
    Verify {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        wanted: WantedArgs,
        /// Directory for the temporary files; by default that of the system
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
        #[command(flatten)]
        job: JobArgs,
    },
    /// Remove backups that are not to stay, and what only they need
    ///
    /// A backup stays if it is one of the newest, young enough, or named with --keep. Prints one JSON object. Exit code
    /// 0: done. 1: not everything was removed, and `skipped` says why. 2: it could not be tried.
    Prune {
        #[command(flatten)]
        store: StoreArgs,
        /// So many of the newest backups stay
        #[arg(long, value_name = "NUMBER", default_value_t = KEEP_LAST, value_parser = clap::value_parser!(u64).range(1..))]
        keep_last: u64,
        /// Backups of so many days stay
        #[arg(long, value_name = "DAYS", default_value_t = KEEP_DAYS)]
        keep_days: u64,
        /// This backup stays, whatever its age is: its name, as `list` shows it
        #[arg(long, value_name = "NAME", value_parser = backup_name)]
        keep: Vec<ManifestName>,
        /// Id of the log, if the archive has several
        #[arg(long, value_name = "ID")]
        log: Option<String>,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Check that the archive has no key of anything that its log has forgotten
    ///
    /// Reads the whole archive. Prints one JSON object. Exit code 0: it has none. 1: it has some, which `behind` names,
    /// or an object cannot be used. 2: it could not be checked.
    ForgetCheck {
        #[command(flatten)]
        store: StoreArgs,
        /// Id of the log, if the archive has several
        #[arg(long, value_name = "ID")]
        log: Option<String>,
    },
    /// Restore a log into an empty directory
    ///
    /// By default everything that the archive has: the newest backup and what was archived after it. If an object
    /// cannot be used, names it and takes the backup before. Prints one JSON object. Exit code 0: restored. 1: nothing
    /// that could be restored verifies, or it is not what --at-least asks for. 2: it could not be tried.
    Restore {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        wanted: WantedArgs,
        /// Directory to restore into: empty, or not there
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Last event to restore, by its number, or by a time (RFC 3339): the last one recorded at or before it. Later
        /// events are left behind
        #[arg(long, value_name = "SEQ|TIME", value_parser = until)]
        until: Option<Until>,
        /// The reason, which is recorded in the log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Id of this restore: if the directory has a log that was restored with the same id, nothing is done
        #[arg(long, value_name = "ID")]
        once: Option<String>,
        #[command(flatten)]
        job: JobArgs,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Admin port of the running engine, as HOST:PORT
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_ADMIN", conflicts_with = "data")]
    admin: Option<String>,
    /// Directory with tls.crt, tls.key and ca.crt, for an admin port with TLS
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_ADMIN_TLS_DIRECTORY")]
    tls_directory: Option<PathBuf>,
    /// File with the token that the admin port demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// Data directory of a stopped engine
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Where the archive is: the keys of the section `backup` of the configuration.
#[derive(Debug, Args)]
struct StoreArgs {
    /// The archive: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY
    #[arg(long, value_name = "URL", env = "MEMORY_ENGINE_BACKUP_URL")]
    store: Option<String>,
    /// Where the keys of the payloads are, if elsewhere
    #[arg(long, value_name = "URL", env = "MEMORY_ENGINE_BACKUP_KEYS_URL")]
    keys_store: Option<String>,
    /// Address of the object store
    #[arg(long, value_name = "URL", env = "MEMORY_ENGINE_BACKUP_ENDPOINT")]
    endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME", env = "MEMORY_ENGINE_BACKUP_REGION")]
    region: Option<String>,
    /// Permit an http:// address
    #[arg(long)]
    allow_http: bool,
    /// Name the bucket in the host of requests
    #[arg(long)]
    virtual_hosts: bool,
    /// Directory with the files access_key_id and secret_access_key
    #[arg(long, value_name = "DIR", env = "MEMORY_ENGINE_BACKUP_CREDENTIALS_DIRECTORY")]
    credentials_directory: Option<String>,
    /// File with the authorities of the object store's certificate, PEM
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_BACKUP_CA_FILE")]
    ca_file: Option<String>,
    /// File with the key to which the keys of the payloads are encrypted
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_BACKUP_KEY_ENCRYPTION_KEY_FILE")]
    key_encryption_key_file: Option<String>,
}

#[derive(Debug, Args)]
struct WantedArgs {
    /// Id of the log, if the archive has several
    #[arg(long, value_name = "ID")]
    log: Option<String>,
    /// Name of the backup, as `list` shows it; the newest by default
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// What the log must at least have: the number of events, and the root of the tree over them
    #[arg(long, value_name = "SIZE:ROOT", value_parser = anchor)]
    at_least: Option<(u64, Hash)>,
}

fn backup_name(text: &str) -> Result<ManifestName, String> {
    ManifestName::parse(text).ok_or_else(|| "expected the name of a backup, as `list` shows it".to_owned())
}

fn until(text: &str) -> Result<Until, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Until::Event).map_err(|fault| format!("{fault}"));
    }
    let time: Result<Timestamp, _> = text.parse();
    time.map(Until::Time)
        .map_err(|_| "expected the number of an event, or a time such as 2026-01-31T12:00:00Z".to_owned())
}

fn anchor(text: &str) -> Result<(u64, Hash), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(size, root)| Some((size.parse().ok()?, Hash::from_hex(root.as_bytes())?)));
    parsed.ok_or_else(|| "expected SIZE:ROOT, the root as 64 lower-case hexadecimal digits".to_owned())
}

impl StoreArgs {
    fn settings(&self) -> anyhow::Result<ArchiveSettings> {
        let section = Backup {
            url: Some(self.store.clone().context("--store URL is required")?),
            keys_url: self.keys_store.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            allow_http: self.allow_http.then_some(true),
            path_style: self.virtual_hosts.then_some(false),
            credentials_directory: self.credentials_directory.clone(),
            ca_file: self.ca_file.clone(),
            key_encryption_key_file: self.key_encryption_key_file.clone(),
            archive_interval_seconds: None,
            keep_backups: None,
            keep_days: None,
        };
        // The same checks as for the file.
        let faults =
            configuration::read(&json!({"backup": section}), Author::Person).err().unwrap_or_default();
        if !faults.is_empty() {
            bail!("the archive cannot be used: {}", faults.join("; "));
        }
        Ok(ArchiveSettings { section, exposed: Exposed::Reported })
    }

    fn open(&self) -> anyhow::Result<Repository> {
        Ok(engine_archive::open(&self.settings()?)?)
    }
}

impl WantedArgs {
    fn wanted(self) -> Wanted {
        let WantedArgs { log, backup, at_least } = self;
        Wanted { log_id: log, backup, at_least, ..Wanted::default() }
    }
}

/// Runs the command. Returns false if something found is broken.
///
/// # Errors
/// The command could not run.
pub(crate) fn run_backup(args: BackupArgs) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.command {
        BackupCommand::Create(args) => create(&runtime, &args)?,
        BackupCommand::List { store, log, json } => {
            let mut summaries = runtime.block_on(store.open()?.summaries())?;
            summaries.retain(|summary| log.as_ref().is_none_or(|log| *log == summary.log_id));
            if json || !std::io::stdout().is_terminal() {
                print_json(&summaries)?;
            } else {
                print(&table(&summaries))?;
            }
        }
        BackupCommand::Prune { store, keep_last, keep_days, keep, log, dry_run } => {
            let keep_last = usize::try_from(keep_last).unwrap_or(usize::MAX);
            let retention = Retention { keep_last, keep_days };
            return runtime.block_on(remove(&store.open()?, log, (retention, &keep), dry_run));
        }
        BackupCommand::ForgetCheck { store, log } => {
            let repository = store.open()?;
            let check = runtime.block_on(async {
                let log_id = which_log(&repository, log).await?;
                Ok::<_, anyhow::Error>(forget_check(&repository, &log_id).await?)
            })?;
            print_json(&check)?;
            return Ok(check.ok);
        }
        BackupCommand::Verify { store, wanted, scratch, job } => {
            job.delay();
            let verdict = store.open().and_then(|found| verify(&runtime, &found, wanted.wanted(), scratch));
            return conclude(verdict, &job);
        }
        BackupCommand::Restore { store, wanted, to, until, reason, once, job } => {
            job.delay();
            let wanted = Wanted { until, reason, once, ..wanted.wanted() };
            return conclude(restore_into(&runtime, &store, &to, &wanted), &job);
        }
    }
    Ok(true)
}

/// The log that is meant: the one with this id, or the only one.
async fn which_log(repository: &Repository, wanted: Option<String>) -> anyhow::Result<String> {
    let logs = repository.logs().await?;
    match (wanted, logs.as_slice()) {
        (Some(log), _) if logs.contains(&log) => Ok(log),
        (Some(log), _) => bail!("the archive has no log {log}"),
        (None, [log]) => Ok(log.clone()),
        (None, logs) => bail!("the archive has {} logs: say which one with --log ID", logs.len()),
    }
}

/// Removes backups; returns false if not everything was removed.
async fn remove(
    repository: &Repository,
    log: Option<String>,
    kept: (Retention, &[ManifestName]),
    dry_run: bool,
) -> anyhow::Result<bool> {
    let log_id = which_log(repository, log).await?;
    let report = |ok, pruned| {
        let report = Removed { log_id: log_id.clone(), dry_run, pruned };
        print_json(&verdict(&report, ok)?).map(|()| ok)
    };
    match prune(repository, &log_id, kept, Timestamp::now(), dry_run).await {
        Ok(pruned) => report(pruned.skipped.is_none(), pruned),
        Err(fault @ (PruneError::Unconditional | PruneError::Pinned(_) | PruneError::Busy)) => {
            report(false, Pruned { skipped: Some(fault.to_string()), ..Pruned::default() })
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Restores into a directory, unless it has what was restored for the same request.
fn restore_into(
    runtime: &tokio::runtime::Runtime,
    store: &StoreArgs,
    to: &Path,
    wanted: &Wanted,
) -> anyhow::Result<Value> {
    let restored_before = wanted.once.as_ref().map(|id| engine_archive::marker::restored_for(to, id));
    let restored_before = restored_before.transpose();
    if let Some(restored) =
        restored_before.context("cannot read what the directory was restored from")?.flatten()
    {
        return verdict(&restored, true);
    }
    let restored = runtime.block_on(restore(&store.open()?, to, wanted, true, &Bar::new()));
    judge(restored, |restored| verdict(&restored, true))
}

fn create(runtime: &tokio::runtime::Runtime, args: &CreateArgs) -> anyhow::Result<()> {
    if let Some(address) = &args.admin {
        let token = args.admin_token_file.as_deref().map(read_token).transpose()?;
        let tls_directory = args.tls_directory.as_deref();
        let admin = Admin { address, tls_directory, token: token.as_deref() };
        return print_json(&ask(admin, Method::Post, "/backups", None)?);
    }
    let data = args.data.as_ref().context("--admin ADDRESS, or --data DIR and --store URL, is required")?;
    print_json(&take(runtime, data, &args.store.open()?)?)
}

/// Takes a backup of a stopped engine.
fn take(
    runtime: &tokio::runtime::Runtime,
    data: &Path,
    repository: &Repository,
) -> anyhow::Result<BackupTaken> {
    let log = Offline::open(data)?;
    let metrics = Arc::new(ArchiveMetrics::new(&Registry::new(&[])?)?);
    let taken = runtime.block_on(async {
        let mut archive = Archive::open(repository, log.handles(), metrics).await?;
        let facts: Arc<dyn EngineFacts> = Arc::new(StoppedEngine(env!("CARGO_PKG_VERSION")));
        archive.backup(&facts, Timestamp::now()).await
    });
    log.close();
    taken.context("the backup was not taken")
}

/// The report of a removal.
#[derive(Debug, Serialize)]
struct Removed {
    log_id: String,
    dry_run: bool,
    #[serde(flatten)]
    pruned: Pruned,
}

/// What a check or a restore found, as one object with the field `ok`.
fn verdict(report: &impl Serialize, ok: bool) -> anyhow::Result<Value> {
    let mut verdict = serde_json::to_value(report)?;
    verdict["ok"] = ok.into();
    Ok(verdict)
}

/// Prints the verdict, also for Kubernetes. Returns whether it is good.
fn conclude(verdict: anyhow::Result<Value>, job: &JobArgs) -> anyhow::Result<bool> {
    match verdict {
        Ok(verdict) => {
            print_json(&verdict)?;
            job.note(&verdict);
            Ok(verdict["ok"] == true)
        }
        Err(fault) => {
            job.note(&json!({"error": format!("{fault:#}")}));
            Err(fault)
        }
    }
}

/// The report of a backup that was restored.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(flatten)]
    restored: Restored,
    #[serde(flatten)]
    drilled: Drilled,
    /// Why it does not verify, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Restores the backup into a temporary directory, builds the projection, and uses an engine.
fn verify(
    runtime: &tokio::runtime::Runtime,
    repository: &Repository,
    wanted: Wanted,
    scratch: Option<PathBuf>,
) -> anyhow::Result<Value> {
    let scratch = scratch.unwrap_or_else(std::env::temp_dir);
    let name = engine_core::digest::hex(&engine_log::Clock::System.bytes::<8>());
    let directory = Scratch(scratch.join(format!("memory-engine-verify-{name}")));
    let wanted = Wanted { exactly: true, ..wanted };
    let name = runtime.block_on(first_backup(repository, &wanted));
    // A backup that is taken from now on is another one.
    let wanted = Wanted { backup: name.clone().or(wanted.backup), ..wanted };
    let restored = runtime.block_on(restore(repository, &directory.0, &wanted, false, &Bar::new()));
    let found = judge(restored, |restored| {
        let drilled = drill(runtime, &directory.0, &restored, Timestamp::now())
            .context("no engine can be started on the backup")?;
        let error = drilled.fault();
        // Only what was restored without any fault verifies.
        let ok = error.is_none() && restored.damaged.is_empty();
        verdict(&Verified { restored, drilled, error }, ok)
    });
    // Whoever reads a verdict has to know which backup it is about.
    found.map(|mut found| {
        if let (Some(name), None) = (name, found.get("backup")) {
            found["backup"] = name.into();
        }
        found
    })
}

/// A directory that is removed in the end: it has memories in plain text.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(fault) = std::fs::remove_dir_all(&self.0)
            && fault.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(path = %self.0.display(), %fault, "the temporary directory has memories: remove it");
        }
    }
}

/// The verdict on what is broken, or what `done` says about what was restored. What is not known to be broken, such as
/// a store that does not answer or a volume that is full, is an error and no verdict: it can be tried again.
fn judge(
    restored: Result<Restored, RestoreError>,
    done: impl FnOnce(Restored) -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    let fault = match restored {
        Ok(restored) => return done(restored),
        Err(fault) => fault,
    };
    let damaged = match &fault {
        RestoreError::Damaged(damaged) => damaged.as_slice(),
        RestoreError::BelowAnchor { .. }
        | RestoreError::NoBackup(_)
        | RestoreError::NoEvent(..)
        | RestoreError::Repeated { .. }
        | RestoreError::NothingBy(_) => &[],
        _ => return Err(fault.into()),
    };
    verdict(&json!({"error": fault.to_string(), "damaged": damaged}), false)
}
