//! Says in an archive that it is read, so that nothing is removed meanwhile.

use std::time::Duration;

use engine_core::archive::boundary::PinName;
use jiff::Timestamp;

use crate::repository::{Repository, random};
use crate::store::Store;

/// How long a pin counts if its reader ends without removing it. A restore of 400 GiB at 10 MB/s takes as long.
const PIN_MAX: Duration = Duration::from_secs(12 * 3_600);

/// A pin of this process.
pub(crate) struct Pin {
    store: Store,
    name: Option<String>,
}

impl Pin {
    /// Puts a pin. Credentials may permit reads only: then there is none, and a removal that runs at the same time may
    /// make the restore fail.
    pub(crate) async fn put(log: &Repository, now: Timestamp) -> Pin {
        let until = now.checked_add(PIN_MAX).unwrap_or(now);
        let name = PinName::new(until, random()).to_string();
        let store = log.pieces.clone();
        match store.create(&name, b"").await {
            Ok(_) => Pin { store, name: Some(name) },
            Err(fault) => {
                tracing::warn!(%fault, "no pin can be put: do not remove backups while this reads the archive");
                Pin { store, name: None }
            }
        }
    }

    /// Removes the pin.
    pub(crate) async fn remove(self) {
        let Some(name) = self.name else { return };
        if let Err(fault) = self.store.delete(&name).await {
            tracing::warn!(%fault, "the pin stays until it ends by itself");
        }
    }
}
