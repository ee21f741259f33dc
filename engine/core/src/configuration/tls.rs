//! `tls`: certificates of the ports.

use super::key::Key;
use super::reader::Section;
use super::section::section;

section! {
    /// Certificates of the ports: [TLS](tls.md). A directory contains `tls.crt` and `tls.key`. Changed files are in
    /// force within 2 s, without a restart.
    "tls" => Tls, check check_directories {
        /// directory with the certificate of the memory API
        "apiDirectory" api_directory: String, since "0.1.0"
            => Key::text().absent("the API is served without TLS").field_note("`spec.tls`");
        /// directory with the certificate of the admin port, and with the authorities in `ca.crt` that sign the
        /// certificates of its clients
        "adminDirectory" admin_directory: String, since "0.1.0"
            => Key::text().absent("the admin port is served without TLS").field_note("`spec.tls`");
    }
}

fn check_directories(tls: &Tls, faults: &mut Vec<String>) {
    for (name, directory) in [("apiDirectory", &tls.api_directory), ("adminDirectory", &tls.admin_directory)]
    {
        if directory.as_deref().is_some_and(|directory| !directory.starts_with('/')) {
            faults.push(format!("{}.{name} must be an absolute path", Tls::NAME));
        }
    }
}
