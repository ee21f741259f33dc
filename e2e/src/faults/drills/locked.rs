//! Archives in buckets with object lock and with versions, in a real object store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use engine_core::archive::cipher::WrappingKey;
use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::PieceName;
use engine_core::archive::piece::Piece;
use engine_core::digest::Hash;
use serde_json::{Value, json};

use super::super::engine::{Engine, Launch};
use super::super::http::Connection;
use super::super::s3::{Gateway, Version};
use super::archive::{Archive, KEY};
use super::life::{archived, status};
use super::memories::{found, numbers_in, save};

/// The bucket with locks.
const LOCKED: &str = "locked";
/// A bucket whose objects can be locked one by one.
const LOCKABLE: &str = "lockable";
/// A bucket for keys, without locks and versions.
const PLAIN: &str = "keys";
/// A bucket that keeps versions.
const VERSIONED: &str = "versions";
/// Days for which an object of the locked bucket stays.
const LOCK_DAYS: u64 = 1;
/// How long one object is locked: longer than what is tried meanwhile takes on a busy machine.
const LOCK: Duration = Duration::from_secs(40);
/// Time after the end of a lock: the store keeps it in seconds.
const LOOK: Duration = Duration::from_secs(2);
/// Texts of one request.
const BATCH: u64 = 100;

/// A run with its engine.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) texts: u64,
    pub(crate) engine: PathBuf,
    /// The program of the object store.
    pub(crate) gateway: PathBuf,
    /// An empty folder in memory.
    pub(crate) place: PathBuf,
}

/// An engine, and its archive.
struct Site {
    place: PathBuf,
    archive: Archive,
    engine: Engine,
}

/// All versions of the objects of a bucket, with their bytes.
type Versions = BTreeMap<Version, Vec<u8>>;

impl Locked {
    /// Runs everything; returns what was wrong.
    ///
    /// # Errors
    /// The environment fails, or an engine does not do what it is asked for.
    pub(crate) fn run(&self) -> Result<Vec<String>> {
        let mut breaches = Vec::new();
        let place = self.place.join("with-versions");
        fs::create_dir(&place)?;
        let gateway = Gateway::start(&self.gateway, &place, true)?;
        make_buckets(&gateway)?;
        gateway.keep_versions(VERSIONED)?;
        self.forgotten_in_no_version(&gateway, &mut breaches)?;
        self.versions_of_keys_are_reported(&gateway, &mut breaches)?;
        drop(gateway);
        let place = self.place.join("without-versions");
        fs::create_dir(&place)?;
        let gateway = Gateway::start(&self.gateway, &place, false)?;
        make_buckets(&gateway)?;
        self.everything_is_locked(&gateway, &mut breaches)?;
        self.removals_wait_for_the_lock(&gateway, &mut breaches)?;
        Ok(breaches)
    }

    /// What is forgotten is in no version of any object, and no piece has changed.
    fn forgotten_in_no_version(&self, gateway: &Gateway, breaches: &mut Vec<String>) -> Result<()> {
        let site = self.site("forgotten", gateway, (LOCKED, PLAIN))?;
        site.plant(self.texts)?;
        check(breaches, status(&site.engine)?["keys_versioned"] == false, "the keys have no versions");
        let before = versions(gateway, LOCKED, "forgotten/")?;
        let keys = versions(gateway, PLAIN, "forgotten/")?;
        let readable_before = readable(&before, &keys)?.len();
        check(breaches, readable_before == usize::try_from(self.texts)?, "the scan finds what is there");
        let place = site.forget()?;
        check(breaches, place["state"] == "gone", &format!("the report on the archive: {place}"));
        let taken = site.backup()?;
        check(breaches, taken["pruned"]["skipped"].is_null(), &format!("a removal adds markers: {taken}"));
        let (after, keys) =
            (versions(gateway, LOCKED, "forgotten/")?, versions(gateway, PLAIN, "forgotten/")?);
        let readable_after = readable(&after, &keys)?.len();
        check(breaches, readable_after == 0, &format!("{readable_after} forgotten texts can be read"));
        let sums: BTreeMap<_, _> =
            after.iter().map(|(version, bytes)| ((&version.name, &version.id), Hash::of(bytes))).collect();
        let is_same = |(version, bytes): (&Version, &Vec<u8>)| {
            sums.get(&(&version.name, &version.id)) == Some(&Hash::of(bytes))
        };
        check(breaches, before.iter().all(is_same), "no version of an object has changed");
        site.check_restores(breaches)?;
        println!(
            "object lock: {} texts forgotten, {readable_before} could be read before, {readable_after} after; {} \
             versions of objects and {} tables of keys scanned",
            self.texts,
            after.len(),
            keys.len()
        );
        Ok(())
    }

    /// A store that keeps versions of the keys is reported, and the report is right: an older version opens a text.
    fn versions_of_keys_are_reported(&self, gateway: &Gateway, breaches: &mut Vec<String>) -> Result<()> {
        let site = self.site("reported", gateway, (LOCKED, VERSIONED))?;
        site.plant(BATCH)?;
        let status = status(&site.engine)?;
        check(breaches, status["keys_versioned"] == true, &format!("versions of keys are noticed: {status}"));
        let place = site.forget()?;
        check(breaches, place["state"] == "out_of_reach", &format!("the report on the archive: {place}"));
        let pieces = versions(gateway, LOCKED, "reported/")?;
        let keys = versions(gateway, VERSIONED, "reported/")?;
        let by_versions = readable(&pieces, &keys)?.len();
        let newest = keys.into_iter().filter(|(version, _)| version.is_newest).collect();
        let by_newest = readable(&pieces, &newest)?.len();
        check(breaches, by_newest == 0, "the newest tables open nothing");
        check(breaches, by_versions > 0, "older tables open what was forgotten");
        site.check_restores(breaches)?;
        println!(
            "versions of keys: {by_versions} of {BATCH} forgotten texts can be read with them, and it is reported"
        );
        Ok(())
    }

    /// In a bucket that locks everything and keeps no versions, removals are refused. Nothing else is stopped by that.
    fn everything_is_locked(&self, gateway: &Gateway, breaches: &mut Vec<String>) -> Result<()> {
        let site = self.site("refused", gateway, (LOCKED, PLAIN))?;
        site.plant(BATCH)?;
        let refused = site.backup()?;
        let why = refused["pruned"]["skipped"].as_str().unwrap_or_default();
        check(breaches, why.contains("locked"), &format!("a removal that is refused is reported: {refused}"));
        let state = status(&site.engine)?;
        check(breaches, state["state"] == "archiving", &format!("it is no failure of the archive: {state}"));
        site.check_restores(breaches)
    }

    /// A removal that a lock refuses is reported, the others are carried out, and it succeeds when the lock has ended.
    fn removals_wait_for_the_lock(&self, gateway: &Gateway, breaches: &mut Vec<String>) -> Result<()> {
        let site = self.site("waiting", gateway, (LOCKABLE, PLAIN))?;
        site.plant(BATCH)?;
        let prefix = format!("waiting/{}/manifests", site.log_id()?);
        let manifests = gateway.files(LOCKABLE).join(&prefix);
        let first = files(&manifests)?.pop().context("no backup")?;
        let name = first.file_name().context("no name")?.to_string_lossy();
        let until = Instant::now() + LOCK;
        gateway.retain(LOCKABLE, &format!("{prefix}/{name}"), LOCK)?;
        // Tails that a segment replaces go with the next removal.
        let segments = gateway.files(LOCKABLE).join("waiting").join(site.log_id()?).join("segments");
        let sealed = files(&segments)?.len();
        site.admin("/rotate", &json!({}))?;
        // A segment is archived when something follows it.
        save(&mut Connection::open(site.engine.api)?, BATCH + 1, 1)?;
        while files(&segments)?.len() == sealed {
            ensure!(Instant::now() < until, "the sealed segment is not archived");
            sleep(Duration::from_millis(50));
        }
        let refused = site.backup()?;
        let why = refused["pruned"]["skipped"].as_str().unwrap_or_default();
        check(breaches, why.contains("locked"), &format!("a removal that is refused is reported: {refused}"));
        check(breaches, refused["pruned"]["pieces"] != 0, &format!("the others are carried out: {refused}"));
        check(breaches, first.exists(), "the lock holds");
        let pruned = site.archive.run(&["prune", "--keep-last", "1", "--keep-days", "0"], None)?;
        check(breaches, pruned.code == Some(1), &format!("the command says so too: {}", pruned.text));
        site.check_restores(breaches)?;
        ensure!(Instant::now() < until, "the machine is too slow: the lock has ended before it was tried");
        sleep(until.saturating_duration_since(Instant::now()) + LOOK);
        let removed = site.backup()?;
        check(breaches, removed["pruned"]["skipped"].is_null(), &format!("the lock has ended: {removed}"));
        let left = files(&manifests)?.len();
        check(
            breaches,
            left == 1 && !first.exists(),
            &format!("{left} backups are there, and one is to stay"),
        );
        site.check_restores(breaches)?;
        println!("a lock that refuses: the removal was reported, and carried out when the lock had ended");
        Ok(())
    }

    /// An engine with the pieces in one bucket and the keys in the other.
    fn site(&self, name: &str, gateway: &Gateway, (pieces, keys): (&str, &str)) -> Result<Site> {
        let place = self.place.join(name);
        fs::create_dir(&place)?;
        let archive = Archive::in_buckets(&self.engine, &place, gateway, (pieces, keys), name)?;
        let config = place.join("config.yaml");
        fs::write(&config, archive.configuration(1))?;
        let mut launch = Launch::new(&self.engine, &place.join("data"));
        launch.config = Some(config);
        let engine = Engine::start(&launch)?;
        Ok(Site { place, archive, engine })
    }
}

impl Site {
    /// Saves texts: in tails that a segment replaces, in a segment, and in tails of today. Takes two backups.
    fn plant(&self, texts: u64) -> Result<()> {
        let mut connection = Connection::open(self.engine.api)?;
        let mut first = 1;
        while first < texts {
            let count = BATCH.min(texts - first).div_ceil(3);
            save(&mut connection, first, count)?;
            first += count;
            if first > texts / 3 && first <= texts / 3 + count {
                archived(&self.engine)?;
            }
            if first > texts * 2 / 3 && first <= texts * 2 / 3 + count {
                self.admin("/rotate", &json!({}))?;
            }
        }
        archived(&self.engine)?;
        self.backup()?;
        save(&mut connection, texts, 1)?;
        self.backup().map(|_| ())
    }

    /// Forgets everything that was saved. Returns what the report says of the archive.
    fn forget(&self) -> Result<Value> {
        let mut connection = Connection::open(self.engine.api)?;
        let body = json!({"project": "default", "reason": "a drill"}).to_string();
        let answer = connection.post("/v1/forget", None, body.as_bytes())?.json()?;
        let places = answer["places"].as_array().context("a report without places")?;
        places.iter().find(|place| place["place"] == "backups").cloned().context("no archive in it")
    }

    fn backup(&self) -> Result<Value> {
        self.admin("/backups", &json!({"keep": []}))
    }

    fn admin(&self, path: &str, body: &Value) -> Result<Value> {
        Connection::open(self.engine.admin)?.post(path, None, body.to_string().as_bytes())?.json()
    }

    fn log_id(&self) -> Result<String> {
        let head = Connection::open(self.engine.api)?.get("/v1/log/head")?.json()?;
        head["log_id"].as_str().map(str::to_owned).context("no log")
    }

    /// The archive restores, its newest backup verifies, and no key of what is forgotten is left.
    fn check_restores(&self, breaches: &mut Vec<String>) -> Result<()> {
        let to = self.place.join("restored");
        let shown = to.display().to_string();
        for arguments in [&["restore", "--to", &shown][..], &["verify"], &["forget-check"]] {
            let said = self.archive.run(arguments, None)?;
            check(breaches, said.code == Some(0), &format!("{}: {}", arguments[0], said.text));
        }
        // One that was not restored was reported already.
        if to.exists() {
            let there = found(&to.join("log"))?.len();
            let events = Connection::open(self.engine.api)?.get("/v1/events?after=0&limit=1000")?;
            let kept = numbers_in(&events.body).len();
            check(
                breaches,
                there == kept,
                &format!("{there} memories are restored, and the engine has {kept}"),
            );
            fs::remove_dir_all(&to)?;
        }
        // A pin that is locked stays for hours.
        self.archive.age().map(|_| ())
    }
}

fn make_buckets(gateway: &Gateway) -> Result<()> {
    gateway.bucket(LOCKED, &["x-amz-bucket-object-lock-enabled: true"])?;
    gateway.lock(LOCKED, LOCK_DAYS)?;
    gateway.bucket(LOCKABLE, &["x-amz-bucket-object-lock-enabled: true"])?;
    gateway.bucket(PLAIN, &[])?;
    gateway.bucket(VERSIONED, &[])
}

fn check(breaches: &mut Vec<String>, holds: bool, what: &str) {
    if !holds {
        breaches.push(what.to_owned());
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("there is no {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// All versions of all objects below a prefix.
fn versions(gateway: &Gateway, bucket: &str, prefix: &str) -> Result<Versions> {
    let listed = gateway.versions(bucket, prefix)?;
    ensure!(!listed.is_empty(), "there are no objects in {bucket}");
    listed.into_iter().map(|version| gateway.read(bucket, &version).map(|bytes| (version, bytes))).collect()
}

/// The numbers of the texts that somebody with all these versions can read, who also has the key-encryption key.
fn readable(pieces: &Versions, keys: &Versions) -> Result<BTreeSet<u64>> {
    let wrapping = WrappingKey([KEY; 32]);
    let mut numbers: BTreeSet<u64> =
        pieces.values().chain(keys.values()).flat_map(|bytes| numbers_in(bytes)).collect();
    for (version, bytes) in pieces {
        // PREFIX/LOG/FOLDER/NAME
        let parts: Vec<&str> = version.name.splitn(3, '/').collect();
        let [prefix, log_id, name] = parts[..] else { continue };
        let Some(name) = PieceName::parse(name) else { continue };
        let piece =
            Piece::decode(&name, log_id, bytes).map_err(|fault| anyhow::anyhow!("{name}: {fault}"))?;
        let table_name = format!("{prefix}/{log_id}/{}", name.keys());
        for (_, table) in keys.iter().filter(|(version, _)| version.name == table_name) {
            let table = KeyTable::decode(table, &name.sha256, Some(&wrapping));
            let table = table.map_err(|fault| anyhow::anyhow!("{table_name}: {fault}"))?;
            let mut lines = Vec::new();
            piece
                .restore(&table, u64::MAX, &mut lines)
                .map_err(|fault| anyhow::anyhow!("{name}: {fault}"))?;
            numbers.extend(numbers_in(&lines));
        }
    }
    Ok(numbers)
}
