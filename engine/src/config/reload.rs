//! Watches the files of the configuration, and applies what can change without a restart.

use std::sync::Arc;
use std::time::Duration;

use engine_core::configuration::{Configuration, Reload, differing};
use engine_core::wire::{ConfigurationFile, ConfigurationHealth};

use super::live::ConfigurationState;
use super::sources::{Loaded, Sources, Texts};
use super::{Config, ConfigError};

/// Time between two looks at the files. A volume of a ConfigMap replaces a symbolic link, which no notification about
/// the file itself would show, so the content is compared.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The configuration in force, and what its files contained at the last look.
#[derive(Debug)]
pub(crate) struct Watch {
    sources: Sources,
    /// What the engine was started with. Keys that need a restart have these values.
    started: Configuration,
    /// The last valid content of the files. Keys that need no restart have these values.
    last: Configuration,
    health: ConfigurationHealth,
    state: Arc<ConfigurationState>,
}

impl Watch {
    pub(crate) fn new(sources: Sources, loaded: &Loaded) -> Watch {
        let file = if loaded.sha256.is_some() { ConfigurationFile::InForce } else { ConfigurationFile::None };
        let health =
            ConfigurationHealth { sha256: loaded.sha256.clone(), file, ..ConfigurationHealth::default() };
        let not_applied = loaded.resolved.not_applied.clone();
        let state = Arc::new(ConfigurationState::new(health.clone(), not_applied));
        let configuration = loaded.resolved.configuration.clone();
        Watch { sources, started: configuration.clone(), last: configuration, health, state }
    }

    /// The state for the health report.
    pub(crate) fn state(&self) -> Arc<ConfigurationState> {
        Arc::clone(&self.state)
    }

    /// Looks at the files until the process ends. Calls `apply` with each new configuration.
    pub(crate) async fn run(mut self, apply: impl Fn(&Config)) {
        if !self.sources.has_files() {
            return;
        }
        // The first look finds what has changed since the start.
        let mut seen: Option<Result<Texts, String>> = None;
        loop {
            let read = tokio::task::block_in_place(|| self.sources.read());
            let read = read.map_err(|fault| fault.to_string());
            if seen.as_ref() != Some(&read) {
                match &read {
                    // A file without content is one that somebody is writing. A section is removed from a file that has
                    // others, or is `{}`.
                    Ok(texts) if texts.is_empty_file() && texts.sha256() != self.health.sha256 => {
                        self.refuse(
                            ConfigurationFile::Invalid,
                            "the file is empty: write {} for the defaults",
                        );
                    }
                    Ok(texts) => self.take(self.sources.interpret(texts), &apply),
                    Err(fault) => self.refuse(ConfigurationFile::Unreadable, fault),
                }
                seen = Some(read);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Applies the keys that need no restart; reports the others.
    fn take(&mut self, loaded: Result<Loaded, ConfigError>, apply: &impl Fn(&Config)) {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(fault) => return self.refuse(ConfigurationFile::Invalid, &fault.to_string()),
        };
        let Loaded { config, resolved, sha256 } = loaded;
        let new = resolved.configuration;
        // Who may use the engine changes at once, and in which mode it runs only with a restart: a file that is no
        // longer for production must not open an engine that is in production.
        let in_force = Configuration { access: new.access.clone(), ..self.started.clone() };
        let faults = self.sources.production_faults(&in_force);
        if !faults.is_empty() {
            return self.refuse(ConfigurationFile::Invalid, &faults.join("; "));
        }
        let changed = names(&self.last, &new, Reload::Live);
        if !changed.is_empty() {
            apply(&config);
            tracing::info!(
                keys = changed.join(", "),
                "the configuration has changed; these keys are in force"
            );
        }
        let pending = names(&self.started, &new, Reload::Restart);
        self.last = new;
        if pending.is_empty() {
            self.health.file =
                if sha256.is_some() { ConfigurationFile::InForce } else { ConfigurationFile::None };
            self.health.sha256 = sha256;
        } else {
            self.health.file = ConfigurationFile::RestartRequired;
            tracing::warn!(
                keys = pending.join(", "),
                "the configuration has changed; these keys take effect at the next start"
            );
        }
        self.health.restart_required = pending;
        self.state.set(self.health.clone(), resolved.not_applied);
    }

    /// Leaves the configuration in force, and reports why.
    fn refuse(&mut self, file: ConfigurationFile, fault: &str) {
        tracing::error!(fault, "the changed configuration cannot be used; the one before stays in force");
        self.health.file = file;
        let (_, not_applied) = self.state.report();
        self.state.set(self.health.clone(), not_applied);
    }
}

/// Names of the keys that differ, of those with this property.
fn names(one: &Configuration, other: &Configuration, reload: Reload) -> Vec<String> {
    let differing = differing(one, other).into_iter().filter(|(_, key)| key.reload == reload);
    differing.map(|(section, key)| format!("{section}.{}", key.name)).collect()
}
