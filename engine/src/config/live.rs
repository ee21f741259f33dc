//! Settings that a running engine takes from a changed file, and the state of the file.

use std::sync::{Mutex, PoisonError};

use engine_core::configuration::{Configuration, Retention};
use engine_core::wire::{ConfigurationHealth, NotApplied, SameText};

/// Settings that take effect without a restart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveSettings {
    /// Default rules for retention plans.
    pub(crate) retention: Retention,
    /// What a save does by default if the project already has the text.
    pub(crate) same_text: SameText,
    /// Number of results of a search that names no limit.
    pub(crate) search_limit: u32,
}

impl LiveSettings {
    pub(crate) fn of(configuration: &Configuration) -> LiveSettings {
        LiveSettings {
            retention: configuration.retention.clone(),
            same_text: configuration.saving.same_text().into(),
            search_limit: configuration.retrieval.search_limit(),
        }
    }
}

impl Default for LiveSettings {
    fn default() -> LiveSettings {
        LiveSettings::of(&Configuration::default())
    }
}

/// The state of the configuration, for the health report. The task that watches the file updates it.
#[derive(Debug, Default)]
pub(crate) struct ConfigurationState(Mutex<(ConfigurationHealth, Vec<NotApplied>)>);

impl ConfigurationState {
    pub(crate) fn new(health: ConfigurationHealth, not_applied: Vec<NotApplied>) -> ConfigurationState {
        ConfigurationState(Mutex::new((health, not_applied)))
    }

    /// The state, and the parts of the file that this version does not know.
    pub(crate) fn report(&self) -> (ConfigurationHealth, Vec<NotApplied>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, health: ConfigurationHealth, not_applied: Vec<NotApplied>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (health, not_applied);
    }
}
