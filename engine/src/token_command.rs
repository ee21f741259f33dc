//! `memory-engine token`: makes, lists and revokes keys of a running engine, and makes keys for files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::http::HeaderValue;
use clap::{Args, Subcommand, ValueEnum};
use engine_core::access::{ApiKey, Scope};
use engine_core::wire::{CreateToken, RevokeToken};
use engine_log::Clock;
use jiff::Timestamp;
use serde_json::to_value;
use service::regular_file::read_text;

use crate::admin_client::{Admin, Method, ask};
use crate::stdout::{print, print_json};

/// Maximum size of a file with a token, bytes.
const TOKEN_BYTES_MAX: u64 = 1 << 10;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
    /// Admin port of the running engine, as HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MEMORY_ENGINE_ADMIN",
        default_value = "127.0.0.1:8081",
        global = true
    )]
    admin: String,
    /// Directory with tls.crt, tls.key and ca.crt, for an admin port with TLS: a certificate that the engine accepts,
    /// and the authorities that it is verified with
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_ADMIN_TLS_DIRECTORY", global = true)]
    tls_directory: Option<PathBuf>,
    /// File with the token that the admin port demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ADMIN_TOKEN_FILE", global = true)]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a key; it is printed once, and nobody can print it again
    Create {
        /// Name of the caller: a-z, 0-9 and -
        name: String,
        /// What the caller may do; can be given more than once
        #[arg(long = "scope", value_enum, required = true)]
        scopes: Vec<ScopeWord>,
        /// Project that the caller is bound to; can be given more than once
        #[arg(long = "project", value_name = "NAME", required_unless_present = "every_project")]
        projects: Vec<String>,
        /// Bind the caller to no project
        #[arg(long, conflicts_with = "projects")]
        every_project: bool,
        /// When the key expires, RFC 3339
        #[arg(long, value_name = "TIME")]
        expires: Option<Timestamp>,
    },
    /// List every key with its scopes, projects and last use; no key itself is shown
    List,
    /// Revoke a key that the engine has made
    Revoke {
        /// Name of the caller
        name: String,
    },
    /// Make a key for a file, without an engine: prints the key and what a file may have instead of it
    Generate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeWord {
    /// Read what is remembered
    Read,
    /// Save, change and forget
    Write,
    /// Apply retention plans, and set what belongs to the whole engine
    Admin,
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Scope {
        match word {
            ScopeWord::Read => Scope::Read,
            ScopeWord::Write => Scope::Write,
            ScopeWord::Admin => Scope::Admin,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The engine does not answer, or refuses.
pub(crate) fn run_token(args: TokenArgs) -> anyhow::Result<()> {
    let TokenArgs { command, admin, tls_directory, admin_token_file } = args;
    let token = admin_token_file.as_deref().map(read_token).transpose()?;
    let admin = Admin { address: &admin, tls_directory: tls_directory.as_deref(), token: token.as_deref() };
    let answer = match command {
        TokenCommand::Create { name, scopes, projects, every_project, expires } => {
            let projects = if every_project { vec!["*".to_owned()] } else { projects };
            let scopes = scopes.into_iter().map(Scope::from).collect();
            let request = CreateToken { name, scopes, projects, expires };
            ask(admin, Method::Post, "/tokens", Some(&to_value(request)?))?
        }
        TokenCommand::List => ask(admin, Method::Get, "/tokens", None)?,
        TokenCommand::Revoke { name } => {
            ask(admin, Method::Post, "/tokens/revoke", Some(&to_value(RevokeToken { name })?))?
        }
        TokenCommand::Generate => {
            let key = ApiKey::of_random(&Clock::System.bytes());
            return print(&format!("{}\nsha256:{}\n", key.secret_text(), key.hash()));
        }
    };
    print_json(&answer)
}

/// Reads the token that a client presents.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = read_text(path, TOKEN_BYTES_MAX).with_context(|| format!("cannot read the token {path:?}"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The value of the header with a key. It is marked as secret, so debug output omits it.
///
/// # Errors
/// The key cannot be sent in a header.
pub(crate) fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.context("the key is not one line of plain text")?;
    value.set_sensitive(true);
    Ok(value)
}
