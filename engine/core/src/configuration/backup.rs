//! `backup`: where the log is archived.

use super::key::Key;
use super::section::section;

/// Bounds of the interval between two steps of the archive, seconds.
const INTERVAL: (u64, u64) = (1, 3_600);

/// How addresses of archives begin.
const SCHEMES: [&str; 4] = ["s3://", "gs://", "az://", "file:///"];
/// Bounds of the number of backups that stay. Each manifest is read when backups are removed.
const KEEP_BACKUPS: (u64, u64) = (1, 1_000);
/// Bounds of the days.
const KEEP_DAYS: (u64, u64) = (0, 36_500);

section! {
    /// Where the log is archived continuously, and where backups are stored: [backups](backup.md). Secrets are read
    /// from files.
    "backup" => Backup, check check {
        /// where the archive is: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` (Google), `az://CONTAINER/PREFIX` (Azure),
        /// or `file:///DIRECTORY` for a volume
        "url" url: String, since "0.1.0" => Key::text().absent("no archive");
        /// where the keys of the payloads are, if they are kept elsewhere: in a bucket without versions and locks
        "keysUrl" keys_url: String, since "0.1.0" => Key::text().absent("`url`");
        /// address of the object store, `https://HOST:PORT`
        "endpoint" endpoint: String, since "0.1.0" => Key::text().absent("that of AWS for the region");
        /// region of the bucket
        "region" region: String, or "us-east-1".to_owned(), since "0.1.0" => Key::text();
        /// whether `endpoint` may be `http://`; payloads are encrypted in the archive, but their keys are sent too
        "allowHttp" allow_http: bool, or false, since "0.1.0" => Key::boolean();
        /// whether the bucket is in the path of a request, and not in the name of the host
        "pathStyle" path_style: bool, or true, since "0.1.0" => Key::boolean();
        /// directory with the files `access_key_id` and `secret_access_key`; for `gs://` `service_account.json`, for
        /// `az://` `account_name` and `access_key`
        "credentialsDirectory" credentials_directory: String, since "0.1.0"
            => Key::text().absent("what the platform gives the pod, such as a web identity");
        /// file with the authorities of the certificate of `endpoint`, PEM
        "caFile" ca_file: String, since "0.1.0" => Key::text().absent("the authorities of the platform");
        /// file with the key to which the keys of the payloads are encrypted: 32 bytes, in hexadecimal or base64
        "keyEncryptionKeyFile" key_encryption_key_file: String, since "0.1.0"
            => Key::text().absent("who can read `keysUrl` can read the memories");
        /// time between two steps of the archive: what is lost with the volume is at most this old
        "archiveIntervalSeconds" archive_interval_seconds: u64, or 10, since "0.1.0"
            => Key::integer(INTERVAL.0, INTERVAL.1);
        /// so many of the newest backups stay
        "keepBackups" keep_backups: u64, or 14, since "0.1.0" => Key::integer(KEEP_BACKUPS.0, KEEP_BACKUPS.1);
        /// backups of so many days stay; what is older goes after a backup whose request has `keep`
        "keepDays" keep_days: u64, or 30, since "0.1.0" => Key::integer(KEEP_DAYS.0, KEEP_DAYS.1);
    }
}

fn check(backup: &Backup, faults: &mut Vec<String>) {
    for (name, url) in [("url", &backup.url), ("keysUrl", &backup.keys_url)] {
        let Some(url) = url else { continue };
        let rest = SCHEMES.into_iter().find_map(|scheme| url.strip_prefix(scheme));
        let is_plain = |rest: &str| !rest.trim_matches('/').is_empty() && !rest.contains(['@', '?', '#']);
        if !rest.is_some_and(is_plain) {
            faults.push(format!(
                "backup.{name} must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY"
            ));
        }
    }
    if backup.url.is_none() && *backup != Backup::default() {
        faults.push(
            "backup.url is missing: without it the other keys of the section have no effect".to_owned(),
        );
    }
    let endpoint = backup.endpoint.as_deref().unwrap_or("https://");
    let is_open = endpoint.starts_with("http://") && backup.allow_http();
    if !(endpoint.starts_with("https://") || is_open) || endpoint.contains('@') {
        faults.push("backup.endpoint must be https://HOST:PORT, or http:// with backup.allowHttp".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::configuration::{Author, read};

    #[test]
    fn addresses_of_archives_have_two_forms() {
        let faults =
            |section| read(&json!({"backup": section}), Author::Person).err().unwrap_or_default().len();
        assert_eq!(faults(json!({"url": "s3://bucket/prefix", "keysUrl": "file:///var/keys"})), 0);
        assert_eq!(faults(json!({"url": "gs://bucket/prefix", "keysUrl": "az://container"})), 0);
        assert_eq!(faults(json!({"url": "s3://b", "endpoint": "http://store:7070", "allowHttp": true})), 0);
        for wrong in [
            json!({"url": "bucket"}),
            json!({"url": "s3://"}),
            json!({"url": "gcs://bucket"}),
            json!({"url": "file:///"}),
            json!({"url": "file://relative"}),
            json!({"url": "s3://key:secret@bucket"}),
            json!({"keysUrl": "s3://bucket"}),
            json!({"url": "s3://b", "endpoint": "http://store:7070"}),
            json!({"url": "s3://b", "endpoint": "https://key:secret@store"}),
            json!({"url": "s3://b", "archiveIntervalSeconds": 0}),
            json!({"url": "s3://b", "keepBackups": 0}),
            json!({"url": "s3://b", "keepDays": 36_501}),
        ] {
            assert_eq!(faults(wrong.clone()), 1, "{wrong}");
        }
    }
}
