//! An in-memory file system with seeded failures and power cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub use super::dice::Dice;
pub use super::fault_plan::{Failure, Plan, Step};
use super::{Access, FailPoint, FilePermissions, Space, Status, Storage, StoredFile};

#[derive(Debug, Clone)]
enum Change {
    Bytes(u64, Vec<u8>),
    Len(u64),
}

#[derive(Debug, Clone, Default)]
struct Node {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync.
    changes: Vec<Change>,
    changed: i128,
}

#[derive(Debug, Clone)]
enum Naming {
    Add(String, u64),
    Rename(String, String),
    Remove(String),
}

#[derive(Debug, Default)]
struct Disk {
    nodes: BTreeMap<u64, Node>,
    visible: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    namings: Vec<Naming>,
    directories: BTreeSet<String>,
    next_inode: u64,
    clock: i128,
    plan: Vec<Plan>,
    dead: bool,
    /// If true, syncs report success but make nothing durable. This is the negative control of the simulation.
    lies: bool,
    available: u64,
    calls: u64,
    sync_after_failure: bool,
    reached: BTreeSet<FailPoint>,
}

#[derive(Debug, Clone)]
pub struct FaultyStorage(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyStorage,
    inode: u64,
    failed_sync: AtomicBool,
}

impl Default for FaultyStorage {
    fn default() -> FaultyStorage {
        FaultyStorage::new()
    }
}

impl FaultyStorage {
    /// An empty file system without failures.
    pub fn new() -> FaultyStorage {
        let disk = Disk { available: 1 << 30, ..Disk::default() };
        FaultyStorage(Arc::new(Mutex::new(disk)))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// Sets the next failure.
    pub fn plan(&self, plan: Plan) {
        self.disk().plan.push(plan);
    }

    /// Cancels the planned failure.
    pub fn behave(&self) {
        self.disk().plan.clear();
    }

    /// From now on, syncs make nothing durable.
    pub fn lie_about_syncs(&self) {
        self.disk().lies = true;
    }

    /// Sets the available space in bytes.
    pub fn set_available(&self, bytes: u64) {
        self.disk().available = bytes;
    }

    /// Whether the power is off.
    pub fn is_dead(&self) -> bool {
        self.disk().dead
    }

    /// Number of calls so far that changed something.
    pub fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// Whether a file was synced again after a failed sync.
    pub fn synced_after_a_failed_sync(&self) -> bool {
        self.disk().sync_after_failure
    }

    /// Fail points passed so far.
    pub fn points_reached(&self) -> BTreeSet<FailPoint> {
        self.disk().reached.clone()
    }

    /// The bytes of a file that are certain to survive a power cut now.
    pub fn durable_bytes(&self, path: &str) -> Vec<u8> {
        let disk = self.disk();
        disk.durable.get(path).map(|inode| disk.nodes[inode].durable.clone()).unwrap_or_default()
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.disk().visible.keys().cloned().collect()
    }

    /// The bytes of a file as a reader sees them.
    pub fn visible_bytes(&self, path: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.visible.get(path).map(|inode| disk.nodes[inode].visible.clone())
    }

    /// Simulates that another process changes a file durably.
    pub fn tamper(&self, path: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let inode = disk.visible[path];
        disk.clock += 1;
        let changed = disk.clock;
        let node = disk.nodes.get_mut(&inode).unwrap();
        *node = Node { visible: bytes.clone(), durable: bytes, changed, ..Node::default() };
    }

    /// Simulates a disk that returns other bytes than were written: nothing else about the file changes.
    pub fn rot(&self, path: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let inode = disk.visible[path];
        let node = disk.nodes.get_mut(&inode).unwrap();
        (node.visible, node.durable) = (bytes.clone(), bytes);
    }

    /// Simulates that another process removes a file durably.
    pub fn tamper_away(&self, path: &str) {
        let mut disk = self.disk();
        disk.visible.remove(path);
        disk.durable.remove(path);
    }

    /// Simulates a power cut and a restart of the machine. Any part of the unsynced changes may survive.
    pub fn power_cut(&self, dice: &mut Dice) {
        let mut disk = self.disk();
        let disk = &mut *disk;
        for naming in std::mem::take(&mut disk.namings) {
            if dice.half() {
                apply_naming(&mut disk.durable, naming);
            }
        }
        disk.visible = disk.durable.clone();
        let named: BTreeSet<u64> = disk.durable.values().copied().collect();
        disk.nodes.retain(|inode, _| named.contains(inode));
        for node in disk.nodes.values_mut() {
            let mut bytes = std::mem::take(&mut node.durable);
            node.changes.drain(..).for_each(|change| apply_some(&mut bytes, change, dice));
            *node = Node { visible: bytes.clone(), durable: bytes, changed: node.changed, ..Node::default() };
        }
        disk.dead = false;
        disk.plan.clear();
        disk.clock += 1;
    }

    /// Simulates that the process is killed. The kernel keeps running, so no change is lost.
    pub fn kill(&self) {
        let mut disk = self.disk();
        disk.dead = false;
        disk.plan.clear();
    }

    /// Decides whether a call of kind `step` fails, and applies the part of the call that takes effect with `act`.
    fn step(&self, step: Step, act: impl FnOnce(&mut Disk, Failure) -> io::Result<()>) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.dead {
            return Err(io::Error::other("the power is off"));
        }
        disk.calls += 1;
        disk.clock += 1;
        let mut outcome = None;
        disk.plan.retain_mut(|plan| match plan {
            _ if outcome.is_some() => true,
            Plan::Fail { step: only, nth, failure, kind } if only.is_none_or(|only| only == step) => {
                if *nth == 0 {
                    outcome = Some((*failure, Some(*kind)));
                    return false;
                }
                *nth -= 1;
                true
            }
            Plan::Cut { nth, failure } => {
                if *nth == 0 {
                    outcome = Some((*failure, None));
                    return false;
                }
                *nth -= 1;
                true
            }
            _ => true,
        });
        match outcome {
            None => act(&mut disk, Failure::Kept),
            Some((failure, kind)) => {
                // A call that is invalid even without the planned failure returns its own error.
                act(&mut disk, failure)?;
                disk.dead |= kind.is_none();
                Err(kind.map_or_else(|| io::Error::other("the power goes"), io::Error::from))
            }
        }
    }

    fn file(&self, inode: u64) -> Arc<dyn StoredFile> {
        Arc::new(FaultyFile { disk: self.clone(), inode, failed_sync: AtomicBool::new(false) })
    }
}

impl Disk {
    fn inode(&self, path: &str) -> io::Result<u64> {
        self.visible.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn node(&mut self, inode: u64) -> &mut Node {
        let changed = self.clock;
        let node = self.nodes.entry(inode).or_default();
        node.changed = changed;
        node
    }

    fn name(&mut self, naming: Naming) {
        apply_naming(&mut self.visible, naming.clone());
        self.namings.push(naming);
    }
}

fn apply_naming(names: &mut BTreeMap<String, u64>, naming: Naming) {
    match naming {
        Naming::Add(path, inode) => {
            names.insert(path, inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        Naming::Remove(path) => {
            names.remove(&path);
        }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if bytes.len() < offset + new.len() {
        bytes.resize(offset + new.len(), 0);
    }
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

/// Applies a change that was never synced: all of it, none, or some sectors.
fn apply_some(bytes: &mut Vec<u8>, change: Change, dice: &mut Dice) {
    match (change, dice.roll(4)) {
        (_, 0) => {}
        (Change::Len(len), _) => bytes.resize(index(len), 0),
        (Change::Bytes(offset, new), 1) => put(bytes, index(offset), &new),
        (Change::Bytes(offset, new), 2) => {
            let kept = index(dice.roll(new.len() as u64 + 1));
            put(bytes, index(offset), &new[..kept]);
        }
        (Change::Bytes(offset, new), _) => apply_sectors(bytes, index(offset), &new, dice),
    }
}

/// Applies the new length and some of the sectors.
fn apply_sectors(bytes: &mut Vec<u8>, offset: usize, new: &[u8], dice: &mut Dice) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    let mut start = offset;
    while start < end {
        let stop = ((start / 512 + 1) * 512).min(end);
        if dice.half() {
            bytes[start..stop].copy_from_slice(&new[start - offset..stop - offset]);
        }
        start = stop;
    }
}

impl Storage for FaultyStorage {
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let prefix = format!("{directory}/");
        let names = disk.visible.keys().filter_map(|path| path.strip_prefix(&prefix));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn status(&self, path: &str) -> io::Result<Status> {
        let disk = self.disk();
        let inode = disk.inode(path)?;
        let node = &disk.nodes[&inode];
        let len = node.visible.len() as u64;
        Ok(Status { len, inode, modified_ns: node.changed, changed_ns: node.changed })
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn StoredFile>> {
        if access == Access::Write {
            self.step(Step::Open, |_, _| Ok(()))?;
        }
        let inode = self.disk().inode(path)?;
        Ok(self.file(inode))
    }

    fn create(&self, path: &str, _: FilePermissions) -> io::Result<Arc<dyn StoredFile>> {
        let mut made = 0;
        self.step(Step::Create, |disk, failure| {
            if disk.visible.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if failure != Failure::Lost {
                disk.next_inode += 1;
                made = disk.next_inode;
                disk.nodes.insert(made, Node::default());
                disk.name(Naming::Add(path.into(), made));
            }
            Ok(())
        })?;
        Ok(self.file(made))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.disk().directories.insert(path.into());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(Step::Rename, |disk, failure| {
            disk.inode(from)?;
            if failure == Failure::Kept {
                disk.name(Naming::Rename(from.into(), to.into()));
            }
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if self.disk().inode(path).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.step(Step::Remove, |disk, failure| {
            if failure == Failure::Kept {
                disk.name(Naming::Remove(path.into()));
            }
            Ok(())
        })
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let inside = |naming: &Naming| {
            let (Naming::Add(name, _) | Naming::Rename(_, name) | Naming::Remove(name)) = naming;
            name.rsplit_once('/').map_or("", |(directory, _)| directory) == path
        };
        self.step(Step::SyncDirectory, |disk, failure| {
            if failure != Failure::Lost && !disk.lies {
                let (here, elsewhere) = disk.namings.drain(..).partition(|naming| inside(naming));
                disk.namings = elsewhere;
                let here: Vec<Naming> = here;
                here.into_iter().for_each(|naming| apply_naming(&mut disk.durable, naming));
            }
            Ok(())
        })
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { capacity: 1 << 30, available: self.disk().available })
    }

    fn reached(&self, point: FailPoint) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.dead {
            return Err(io::Error::other("the power is off"));
        }
        disk.reached.insert(point);
        if disk.plan.contains(&Plan::CutAt(point)) {
            disk.dead = true;
            return Err(io::Error::other("the power goes"));
        }
        let planned = disk.plan.extract_if(.., |plan| *plan == Plan::FailAt(point)).count();
        if planned > 0 { Err(io::Error::other("failed by a plan")) } else { Ok(()) }
    }
}

impl StoredFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        let disk = self.disk.disk();
        disk.nodes.get(&self.inode).map(|node| node.visible.len() as u64).ok_or_else(gone)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.disk();
        if disk.dead {
            return Err(io::Error::other("the power is off"));
        }
        let node = disk.nodes.get(&self.inode).ok_or_else(gone)?;
        let rest = node.visible.get(index(offset)..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.step(Step::Write, |disk, failure| {
            let kept = match failure {
                Failure::Lost => return Ok(()),
                Failure::Half => &bytes[..bytes.len() / 2],
                Failure::Kept => bytes,
            };
            let node = disk.node(self.inode);
            put(&mut node.visible, index(offset), kept);
            node.changes.push(Change::Bytes(offset, kept.to_vec()));
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.step(Step::Truncate, |disk, failure| {
            if failure == Failure::Kept {
                let node = disk.node(self.inode);
                node.visible.resize(index(len), 0);
                node.changes.push(Change::Len(len));
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.disk.step(Step::Sync, |disk, failure| {
            disk.sync_after_failure |= self.failed_sync.load(Ordering::Relaxed);
            if disk.lies {
                return Ok(());
            }
            let node = disk.node(self.inode);
            match failure {
                Failure::Kept => node.durable.clone_from(&node.visible),
                // The kernel drops the dirty pages: the written data is lost, or half of it.
                Failure::Lost => node.visible.clone_from(&node.durable),
                Failure::Half => {
                    let kept = usize::midpoint(node.durable.len(), node.visible.len());
                    node.visible.truncate(kept);
                    node.durable.clone_from(&node.visible);
                }
            }
            node.changes.clear();
            Ok(())
        });
        self.failed_sync.fetch_or(synced.is_err(), Ordering::Relaxed);
        synced
    }
}

fn gone() -> io::Error {
    io::Error::other("the file was lost with the power")
}
