//! Reads the configuration from its sources: the file, the environment with the files that its variables name, and the
//! flags of the command line.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use engine_core::configuration::{
    Author, Configuration, Environment, FileVariable, Origin, Resolved, Setting, VARIABLE_PREFIX,
    environment, old_names, production_faults, resolve,
};
use engine_core::digest::Hash;

use super::{Config, ConfigError, converted};
use crate::access::has_stored_keys;
use service::regular_file::read_text;

/// Maximum size of the configuration file, bytes. Most of it are exceptions of the policy: 256 with a reason each.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Maximum size of a file that a variable names, bytes. It contains the value of one key.
const VALUE_BYTES_MAX: u64 = 256 << 10;

/// Where the configuration comes from, on the command line.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration in YAML; every key is optional
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Set a key of the configuration, for example log.level=debug; overrides environment and file
    // Not parsed here: the parser of the command line would quote the value in its error.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Flag>,
}

/// A flag `KEY=VALUE`, or what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Flag(Result<Setting, String>);

impl FromStr for Flag {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Flag, Infallible> {
        Ok(Flag(Setting::of_flag(text)))
    }
}

/// The sources of the configuration.
#[derive(Debug)]
pub(crate) struct Sources {
    file: Option<PathBuf>,
    flags: Vec<Setting>,
    environment: Environment,
    author: Author,
    /// The data directory, which may have keys of the engine; none for a check without one.
    data: Option<PathBuf>,
}

/// The texts of all files at one moment.
#[derive(PartialEq, Eq)]
pub(crate) struct Texts {
    file: Option<String>,
    /// Values of the variables that name a file, in the order of the environment; or what is wrong with the file.
    values: Vec<Result<String, String>>,
}

impl Texts {
    /// Whether there is a file without content.
    pub(super) fn is_empty_file(&self) -> bool {
        self.file.as_ref().is_some_and(|text| text.trim().is_empty())
    }

    /// SHA-256 of the file, if there is one.
    pub(super) fn sha256(&self) -> Option<String> {
        self.file.as_ref().map(|text| Hash::of(text.as_bytes()).to_string())
    }
}

/// A configuration that was read from its sources.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) resolved: Resolved,
    /// SHA-256 of the file, if there is one.
    pub(crate) sha256: Option<String>,
}

impl Sources {
    /// The sources of this process.
    pub(crate) fn new(args: ConfigArgs, author: Author, data: Option<PathBuf>) -> Sources {
        let is_ours = |name: &str| name.starts_with(VARIABLE_PREFIX) || old_names().any(|old| old == name);
        // A name or a value that is not Unicode cannot be one of the configuration.
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| is_ours(name))
            .collect();
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut environment = environment(variables, author);
        let mut flags = Vec::new();
        for Flag(flag) in args.set {
            match flag {
                Ok(setting) => flags.push(setting),
                Err(fault) => environment.faults.push(fault),
            }
        }
        Sources { file: args.config, flags, environment, author, data }
    }

    /// Variables that have no effect, or that have a new name.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.environment.warnings
    }

    /// Whether a file can change what was read.
    pub(crate) fn has_files(&self) -> bool {
        self.file.is_some() || !self.environment.files.is_empty()
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// A file cannot be read, or there are faults, all of which are named.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        self.interpret(&self.read()?)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The configuration file cannot be read.
    pub(crate) fn read(&self) -> Result<Texts, ConfigError> {
        let read = |path: &PathBuf| {
            read_text(path, FILE_BYTES_MAX).map_err(|source| ConfigError::Read { path: path.clone(), source })
        };
        let value = |variable: &FileVariable| {
            let FileVariable { key, variable, path } = variable;
            read_text(path.as_ref(), VALUE_BYTES_MAX).map_err(|fault| {
                format!("{key} cannot be read from {path:?}: {fault} (environment {variable})")
            })
        };
        Ok(Texts {
            file: self.file.as_ref().map(read).transpose()?,
            values: self.environment.files.iter().map(value).collect(),
        })
    }

    /// Checks the texts of the files together with the other sources.
    ///
    /// # Errors
    /// There are faults, all of which are named.
    pub(crate) fn interpret(&self, texts: &Texts) -> Result<Loaded, ConfigError> {
        let path = self.file.clone();
        let yaml: serde_yaml::Value = match (&texts.file, &path) {
            (Some(text), Some(path)) => serde_yaml::from_str(text)
                .map_err(|source| ConfigError::Yaml { path: path.clone(), source })?,
            _ => serde_yaml::Value::Null,
        };
        let mut faults = self.environment.faults.clone();
        faults.extend(texts.values.iter().filter_map(|value| value.as_ref().err().cloned()));
        let file = serde_json::to_value(yaml).unwrap_or_else(|_| {
            faults.push("a key of the file is not a string".to_owned());
            serde_json::Value::Null
        });
        let resolved = resolve(&file, &self.settings(texts), self.author);
        let resolved = resolved.map_err(|found| faults.extend(found)).ok();
        let config = resolved.as_ref().map(|resolved| {
            let config = converted(resolved.configuration.clone(), &mut faults);
            Config { not_applied: resolved.not_applied.clone(), ..config }
        });
        if let Some(resolved) = &resolved {
            faults.extend(self.production_faults(&resolved.configuration));
        }
        let sha256 = texts.sha256();
        match (config, resolved) {
            (Some(config), Some(resolved)) if faults.is_empty() => Ok(Loaded { config, resolved, sha256 }),
            _ => Err(ConfigError::Faults { path, faults }),
        }
    }

    /// What an engine in production lacks.
    pub(super) fn production_faults(&self, configuration: &Configuration) -> Vec<String> {
        production_faults(configuration, self.data.as_deref().is_some_and(has_stored_keys))
    }

    /// Every setting outside of the file, in ascending order of precedence.
    fn settings(&self, texts: &Texts) -> Vec<Setting> {
        let of_files = self.environment.files.iter().zip(&texts.values).filter_map(|(variable, text)| {
            Some(Setting {
                key: variable.key.clone(),
                text: text.as_ref().ok()?.trim_end_matches(['\n', '\r']).to_owned(),
                origin: Origin::Variable(variable.variable.clone()),
            })
        });
        let settings = self.environment.settings.iter().cloned();
        settings.chain(of_files).chain(self.flags.iter().cloned()).collect()
    }
}
