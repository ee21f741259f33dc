//! `tls`: certificates of the ports.

use super::key::Key;
use super::section::section;

section! {
    /// Certificates of the ports: [TLS](tls.md). A directory contains `tls.crt` and `tls.key`. Changed files are in
    /// force within 2 s, without a restart.
    "tls" => Tls, check check {
        /// directory with the certificate of the memory API
        "apiDirectory" api_directory: String, since "0.1.0"
            => Key::text().absent("the API is served without TLS").field_note("`spec.tls`");
        /// directory with the certificate of the admin port, and with the authorities in `ca.crt` that sign the
        /// certificates of its clients
        "adminDirectory" admin_directory: String, since "0.1.0"
            => Key::text().absent("the admin port is served without TLS").field_note("`spec.tls`");
        /// file with the authorities of [clients with certificates](access.md#certificates), PEM; only with
        /// `apiDirectory`
        "clientAuthorityFile" client_authority_file: String, since "0.1.0"
            => Key::text().absent("clients of the memory API present no certificate");
    }
}

fn check(tls: &Tls, faults: &mut Vec<String>) {
    match (&tls.client_authority_file, &tls.api_directory) {
        (Some(file), _) if file.is_empty() => {
            faults.push("tls.clientAuthorityFile must be the path of a file".to_owned());
        }
        (Some(_), None) => faults.push("tls.clientAuthorityFile needs tls.apiDirectory".to_owned()),
        _ => {}
    }
}
