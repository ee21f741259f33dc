//! Which backups of an archive an engine or a command keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use engine_core::archive::name::ManifestName;
use engine_core::archive::retention::Rules;
use engine_core::configuration::Backup;
use engine_core::wire::Pruned;
use jiff::{SignedDuration, Timestamp};

use crate::prune::PruneError;
use crate::repository::Repository;

/// How long an engine removes objects after a backup. What is left is removed after the next one; meanwhile nothing is
/// archived, and the request for the backup waits.
const PRUNE_MAX: Duration = Duration::from_secs(15);
const DAY: i64 = 86_400;

/// Which backups stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest stay.
    pub keep_last: usize,
    /// Those of so many days stay.
    pub keep_days: u64,
}

impl Retention {
    /// What the section configures.
    #[must_use]
    pub fn of(section: &Backup) -> Retention {
        let keep_last = usize::try_from(section.keep_backups()).unwrap_or(usize::MAX);
        Retention { keep_last, keep_days: section.keep_days() }
    }

    /// Until when its age keeps a backup.
    pub(crate) fn expires(self, created: Timestamp) -> Option<Timestamp> {
        created.checked_add(self.days()).ok()
    }

    fn days(self) -> SignedDuration {
        let days = i64::try_from(self.keep_days).unwrap_or(i64::MAX);
        SignedDuration::from_secs(days.saturating_mul(DAY))
    }

    fn rules(self, keep: &[ManifestName], now: Timestamp) -> Rules {
        let since = now.checked_sub(self.days());
        let keep: BTreeSet<ManifestName> = keep.iter().cloned().collect();
        Rules { keep_last: self.keep_last, since: since.unwrap_or(Timestamp::MIN), keep }
    }
}

/// Removes from the archive of one log what is not to stay. `dry_run` only says what that is.
///
/// # Errors
/// Why not everything was removed.
pub async fn prune(
    repository: &Repository,
    log_id: &str,
    (retention, keep): (Retention, &[ManifestName]),
    now: Timestamp,
    dry_run: bool,
) -> Result<Pruned, PruneError> {
    let log = repository.of_log(log_id).ok_or_else(|| PruneError::NoLog(log_id.to_owned()))?;
    let names = log.all_names().await?;
    let is_there = |name: &ManifestName| names.manifests.iter().any(|manifest| manifest.name == *name);
    if let Some(missing) = keep.iter().find(|name| !is_there(name)) {
        return Err(PruneError::NoBackup(missing.to_string()));
    }
    log.prune(log_id, &retention.rules(keep, now), now, dry_run).await
}

/// Removes what is not to stay after a backup that an engine has taken. A failure is no failure of the backup.
pub(crate) async fn after_backup(
    log: &Repository,
    log_id: &str,
    retention: Retention,
    keep: &[ManifestName],
) -> Pruned {
    let now = Timestamp::now();
    let rules = retention.rules(keep, now);
    let pruned = tokio::time::timeout(PRUNE_MAX, log.prune(log_id, &rules, now, false)).await;
    let of = |why: String| Pruned { skipped: Some(why), ..Pruned::default() };
    let pruned = match pruned {
        Ok(Ok(pruned)) => pruned,
        Ok(Err(fault)) => of(fault.to_string()),
        Err(_) => of(format!("it took longer than {PRUNE_MAX:?}; it goes on after the next backup")),
    };
    if let Some(why) = &pruned.skipped {
        tracing::warn!(why, "not everything that is not to stay was removed from the archive");
    }
    pruned
}
