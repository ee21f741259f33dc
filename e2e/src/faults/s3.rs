//! An S3-compatible object store as a process on a loopback port: VersityGW, which keeps objects as plain files.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Longest start. It takes a fraction of a second; a busy machine takes longer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Longest request, seconds. The store answers within milliseconds; a hang must still end.
const REQUEST_SECONDS: &str = "30";
/// The credentials. The store is on a loopback port, and what it has are memories of a test.
const ACCESS_KEY: &str = "drill";
const SECRET_KEY: &str = "drill-drill-drill";

/// The namespace of the documents of S3.
const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

/// A running store; killed when dropped.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    /// Starts the process.
    command: Command,
    port: u16,
    place: PathBuf,
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// Name of the object.
    pub(super) name: String,
    /// Id of the version; `null` in a bucket that keeps none.
    pub(super) id: String,
    /// Whether it is what a request without an id gets.
    pub(super) is_newest: bool,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The texts of all elements with this name.
    pub(super) fn elements(&self, name: &str) -> Vec<String> {
        elements(&String::from_utf8_lossy(&self.body), name)
    }
}

/// The texts of all elements with this name.
fn elements(text: &str, name: &str) -> Vec<String> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&begin).skip(1);
    parts.filter_map(|part| Some(part.split_once(&end)?.0.to_owned())).collect()
}

impl Gateway {
    /// Starts a store in an empty folder. With `versions` its buckets can keep versions.
    ///
    /// # Errors
    /// It does not answer in time.
    pub(super) fn start(program: &Path, place: &Path, versions: bool) -> Result<Gateway> {
        for folder in ["data", "versions", "credentials"] {
            fs::create_dir_all(place.join(folder))?;
        }
        write_secret(&place.join("credentials/access_key_id"), ACCESS_KEY)?;
        write_secret(&place.join("credentials/secret_access_key"), SECRET_KEY)?;
        let options = format!(
            "user = \"{ACCESS_KEY}:{SECRET_KEY}\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n\
             header = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\n"
        );
        write_secret(&place.join("curl"), &options)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["--port", &format!("127.0.0.1:{port}"), "--health", "/health", "--quiet", "posix"]);
        if versions {
            command.arg("--versioning-dir").arg(place.join("versions"));
        }
        command.arg(place.join("data")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        let child = command.spawn().context("the object store cannot be started")?;
        let gateway = Gateway { child, command, port, place: place.to_owned() };
        gateway.answers()?;
        Ok(gateway)
    }

    /// Waits until the store answers.
    fn answers(&self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.request("GET", "/health", &[], None).is_ok_and(|reply| reply.status == 200) {
            ensure!(Instant::now() < deadline, "the object store does not answer");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends the process of the store. What it has stays in its folder.
    pub(super) fn go_away(&mut self) {
        // An error means that the process is gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Starts the process again, under the same address.
    ///
    /// # Errors
    /// It does not answer in time.
    pub(super) fn come_back(&mut self) -> Result<()> {
        self.child = self.command.spawn().context("the object store cannot be started again")?;
        self.answers()
    }

    /// Its address.
    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The directory with the credentials of an engine.
    pub(super) fn credentials(&self) -> PathBuf {
        self.place.join("credentials")
    }

    /// The folder with the newest versions of the objects of a bucket.
    pub(super) fn files(&self, bucket: &str) -> PathBuf {
        self.place.join("data").join(bucket)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// The store refuses it.
    pub(super) fn bucket(&self, name: &str, headers: &[&str]) -> Result<()> {
        self.done("PUT", &format!("/{name}"), headers, None).map(|_| ())
    }

    /// Every new object of the bucket stays for so many days.
    ///
    /// # Errors
    /// The store refuses it.
    pub(super) fn lock(&self, bucket: &str, days: u64) -> Result<()> {
        let body = format!(
            "<ObjectLockConfiguration {NAMESPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
             <DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule>\
             </ObjectLockConfiguration>"
        );
        self.configure(bucket, "object-lock", &body)
    }

    /// The bucket keeps versions of its objects.
    ///
    /// # Errors
    /// The store refuses it.
    pub(super) fn keep_versions(&self, bucket: &str) -> Result<()> {
        let body = format!(
            "<VersioningConfiguration {NAMESPACE}><Status>Enabled</Status></VersioningConfiguration>"
        );
        self.configure(bucket, "versioning", &body)
    }

    /// An object of a bucket with locks stays for so long.
    ///
    /// # Errors
    /// The store refuses it.
    pub(super) fn retain(&self, bucket: &str, name: &str, time: Duration) -> Result<()> {
        let until = jiff::Timestamp::now().checked_add(time)?.strftime("%Y-%m-%dT%H:%M:%SZ");
        let body = format!(
            "<Retention {NAMESPACE}><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        self.configure(&format!("{bucket}/{name}"), "retention", &body)
    }

    fn configure(&self, bucket: &str, what: &str, body: &str) -> Result<()> {
        let sum = STANDARD.encode(Sha256::digest(body.as_bytes()));
        let headers = [format!("x-amz-checksum-sha256: {sum}")];
        self.done("PUT", &format!("/{bucket}?{what}="), &[&headers[0]], Some(body)).map(|_| ())
    }

    /// All versions of all objects below a prefix. Markers of deletions are none.
    ///
    /// # Errors
    /// The store does not list them.
    pub(super) fn versions(&self, bucket: &str, prefix: &str) -> Result<Vec<Version>> {
        let (mut found, mut key, mut id) = (Vec::new(), String::new(), String::new());
        loop {
            // In alphabetical order: some versions of curl sign the parameters as they are.
            let path = format!(
                "/{bucket}?key-marker={}&prefix={}&version-id-marker={}&versions=",
                encoded(&key),
                encoded(prefix),
                encoded(&id)
            );
            let page = self.done("GET", &path, &[], None)?;
            for version in page.elements("Version") {
                let one =
                    |name: &str| elements(&version, name).into_iter().next().context("an incomplete version");
                let is_newest = one("IsLatest")? == "true";
                found.push(Version { name: one("Key")?, id: one("VersionId")?, is_newest });
            }
            if page.elements("IsTruncated") != ["true"] {
                return Ok(found);
            }
            let next = |name: &str| page.elements(name).into_iter().next().unwrap_or_default();
            (key, id) = (next("NextKeyMarker"), next("NextVersionIdMarker"));
            ensure!(!key.is_empty(), "a page does not say where the next one begins");
        }
    }

    /// The bytes of a version.
    ///
    /// # Errors
    /// The store does not have it.
    pub(super) fn read(&self, bucket: &str, version: &Version) -> Result<Vec<u8>> {
        let path = format!("/{bucket}/{}?versionId={}", version.name, encoded(&version.id));
        Ok(self.done("GET", &path, &[], None)?.body)
    }

    /// Sends a request that must succeed.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn done(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&str>,
    ) -> Result<Reply> {
        let reply = self.request(method, path, headers, body)?;
        if !(200..300).contains(&reply.status) {
            bail!("{method} {path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
        }
        Ok(reply)
    }

    /// Sends a signed request.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&str>,
    ) -> Result<Reply> {
        let mut command = Command::new("curl");
        // The credentials are in a file: arguments are visible to every process.
        command.arg("--config").arg(self.place.join("curl"));
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", REQUEST_SECONDS]);
        command.args(["--request", method, "--write-out", "\n%{http_code}"]);
        for header in headers {
            command.args(["--header", header]);
        }
        if let Some(body) = body {
            command.args(["--data-binary", body]);
        }
        command.arg(format!("{}{path}", self.endpoint())).stdin(Stdio::null());
        let output = command.output().context("`curl` cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "curl: {}", said.trim());
        let line = output.stdout.iter().rposition(|byte| *byte == b'\n').context("no status")?;
        let status = std::str::from_utf8(&output.stdout[line + 1..])?.parse()?;
        Ok(Reply { status, body: output.stdout[..line].to_vec() })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// Writes a file that nobody else can read.
///
/// # Errors
/// It cannot be written.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// A text as part of a query.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_an_answer_are_read() {
        let body = b"<R><Key>a</Key><V><Key>b/c</Key><Id>null</Id></V></R>".to_vec();
        let reply = Reply { status: 200, body };
        assert_eq!(reply.elements("Key"), ["a", "b/c"]);
        assert_eq!(reply.elements("Id"), ["null"]);
        assert_eq!(reply.elements("None"), Vec::<String>::new());
        assert_eq!(encoded("a/b-1 ä"), "a%2Fb-1%20%C3%A4");
    }
}
