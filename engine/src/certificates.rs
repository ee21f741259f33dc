//! The certificates of both ports, which are read again while the engine runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use engine_core::configuration::Tls;
use engine_core::file_mode::ModeFault;
use engine_core::wire::{PortCertificate, TlsHealth};
use jiff::Timestamp;
use service::secret_file::Exposed;
use service::tls::{Clients, Served, ServerTls};

/// Time between two looks at the files. They are a few kilobytes.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificates of the ports that have one.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// Of the memory API, whose clients may present a certificate if an authority for them is configured.
    pub(crate) api: Option<Arc<ServerTls>>,
    /// Of the admin port, whose clients present a certificate.
    pub(crate) admin: Option<Arc<ServerTls>>,
    /// Directories of both, whose authorities vouch for other engines too.
    pub(crate) directories: Vec<PathBuf>,
}

/// Whether clients of the memory API may present a certificate.
fn clients_of_api(tls: &Tls) -> Clients {
    let file = tls.client_authority_file.as_ref();
    file.map_or(Clients::Anonymous, |file| Clients::Optional(file.into()))
}

/// Why a certificate is not valid at a time; none if it is.
fn untimely(served: &Served, now: Timestamp) -> Option<String> {
    if now > served.not_after {
        Some(format!("it has expired at {}", served.not_after))
    } else if now < served.not_before {
        Some(format!("it is valid from {} on", served.not_before))
    } else {
        None
    }
}

impl Certificates {
    /// Reads the certificates.
    ///
    /// # Errors
    /// The files of a directory cannot be used. A port that should have TLS is never served without it.
    pub(crate) fn open(tls: &Tls, exposed: Exposed) -> anyhow::Result<Certificates> {
        let open = |directory: &Option<String>, clients| {
            let open =
                |directory: &String| ServerTls::open(Path::new(directory), clients, exposed).map(Arc::new);
            directory.as_ref().map(open).transpose()
        };
        let directories = [&tls.api_directory, &tls.admin_directory];
        let certificates = Certificates {
            api: open(&tls.api_directory, clients_of_api(tls)).context("tls.apiDirectory")?,
            admin: open(&tls.admin_directory, Clients::Verified).context("tls.adminDirectory")?,
            directories: directories.into_iter().flatten().map(PathBuf::from).collect(),
        };
        for (port, tls) in [("api", &certificates.api), ("admin", &certificates.admin)] {
            let Some((served, _)) = tls.as_ref().map(|tls| tls.served()) else { continue };
            let Some(fault) = untimely(&served, Timestamp::now()) else { continue };
            tracing::error!(port, fault, "clients refuse the certificate of a port");
            if exposed == Exposed::Refused {
                anyhow::bail!("the certificate of the {port} port: {fault} (deployment.mode is production)");
            }
        }
        for (directory, fault) in certificates.exposed(tls) {
            tracing::warn!(directory, %fault, "the key of a certificate is used, although somebody else can read or change it");
        }
        Ok(certificates)
    }

    /// Directories whose key somebody else can read or change.
    fn exposed<'a>(&'a self, tls: &'a Tls) -> impl Iterator<Item = (&'a String, ModeFault)> {
        let ports = [(&tls.api_directory, &self.api), (&tls.admin_directory, &self.admin)];
        ports
            .into_iter()
            .filter_map(|(directory, tls)| Some((directory.as_ref()?, tls.as_ref()?.key_exposed()?)))
    }

    /// Whether somebody else can read or change the key of a port.
    pub(crate) fn is_key_exposed(&self) -> bool {
        [&self.api, &self.admin].into_iter().flatten().any(|tls| tls.key_exposed().is_some())
    }

    /// Looks at the files until the process ends, and puts changed ones in force.
    pub(crate) async fn follow(self: Arc<Certificates>) {
        let ports = [("api", self.api.clone()), ("admin", self.admin.clone())];
        let ports: Vec<_> = ports.into_iter().filter_map(|(port, tls)| Some((port, tls?))).collect();
        let mut reported: Vec<Option<String>> = vec![None; ports.len()];
        while !ports.is_empty() {
            tokio::time::sleep(LOOK_INTERVAL).await;
            for ((port, tls), reported) in ports.iter().zip(&mut reported) {
                let outcome = tokio::task::block_in_place(|| tls.reload());
                let fault = outcome.as_ref().err().map(ToString::to_string);
                if outcome.is_ok_and(|changed| changed) {
                    let (served, _) = tls.served();
                    tracing::info!(port, serial = served.serial, not_after = %served.not_after, "a new certificate is served");
                }
                if let Some(fault) = fault.as_ref().filter(|_| fault != *reported) {
                    tracing::error!(
                        port,
                        fault,
                        "the changed certificate cannot be used; the one before is served"
                    );
                }
                *reported = fault;
            }
        }
    }

    /// What the ports serve; `None` if no port has TLS.
    pub(crate) fn health(&self) -> Option<TlsHealth> {
        let shown = |tls: &Option<Arc<ServerTls>>| {
            let (served, fault) = tls.as_ref()?.served();
            Some(PortCertificate {
                serial: served.serial,
                sha256: served.sha256.to_string(),
                not_after: served.not_after,
                authorities_sha256: served.authorities_sha256.map(|hash| hash.to_string()),
                fault,
            })
        };
        let health = TlsHealth { api: shown(&self.api), admin: shown(&self.admin) };
        (health != TlsHealth::default()).then_some(health)
    }
}
