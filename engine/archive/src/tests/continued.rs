//! Copies that are made from an archive alone, while writers and removals change it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use engine_core::archive::continuation::CopyEnd;
use engine_core::digest::Hash;
use engine_log::{
    Caller, Clock, FollowError, Follower, LogContext, LogDirectory, LogHandles, LogMetrics, Received,
    Rotation, WriteState, WriterCommand,
};
use jiff::Timestamp;
use service::Registry;

use super::live_log::{LiveLog, NoKeys};
use super::prune::{Archived, around, failing};
use super::{Silent, metrics, repository, stopped};
use crate::faults::Faults;
use crate::{Archive, ArchiveReader, ReadError, Repository, Until, Wanted, restore};

/// Archives that are made, each with its own history.
const SEEDS: u64 = 12;
/// Groups that may wait for a projection, which is not there.
const GROUPS_MAX: usize = 1 << 12;

/// A copy of a log, as a standby has it.
struct Copy {
    handles: LogHandles,
    commands: Option<Sender<WriterCommand>>,
    threads: Vec<JoinHandle<()>>,
    reader: ArchiveReader,
    /// The largest number of a writer at the last look.
    writer: u64,
    _directory: LogDirectory,
}

impl Copy {
    fn open(data: &Path, repository: &Repository) -> Copy {
        let directory = LogDirectory::lock(data).unwrap();
        let metrics = Arc::new(LogMetrics::new(&Registry::new(&[]).unwrap()).unwrap());
        let context = LogContext::new(directory.storage(), metrics, Clock::System, Rotation::default());
        let handles = LogHandles::new(context);
        let (applying, applied) = mpsc::sync_channel(GROUPS_MAX);
        let follower = Follower::new(handles.clone(), Arc::new(NoKeys), applying);
        let (commands, queue) = mpsc::channel();
        let follower = std::thread::spawn(move || follower.run(&queue));
        let drained = std::thread::spawn(move || applied.into_iter().for_each(drop));
        while handles.context.published.store() == WriteState::Opening {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let (commands, threads) = (Some(commands), vec![follower, drained]);
        let reader = ArchiveReader::new(repository.clone());
        Copy { handles, commands, threads, reader, writer: 0, _directory: directory }
    }

    fn end(&self) -> CopyEnd {
        let head = self.handles.context.published.head();
        head.map_or(CopyEnd::START, |head| CopyEnd { seq: head.seq, line: head.line })
    }

    fn root(&self) -> (u64, Hash) {
        self.handles.context.tree.head()
    }

    /// Looks once. Returns whether there was something.
    async fn look(&mut self, log_id: &str) -> Result<bool, ReadError> {
        let found = self.reader.lines_after(log_id, self.end(), self.writer).await?;
        self.writer = found.writer;
        let has_lines = !found.lines.lines.is_empty();
        self.follow(found.lines).await.unwrap();
        Ok(has_lines)
    }

    async fn follow(&self, lines: engine_log::FollowingLines) -> Result<u64, FollowError> {
        let (reply, answer) = Caller::channel();
        let engine_log::FollowingLines { log_id, head_seq, has_line, lines } = lines;
        let received = Received { log_id, head_seq, has_end: has_line, lines, reply };
        self.commands.as_ref().unwrap().send(WriterCommand::Follow(received)).unwrap();
        let followed = answer.await.unwrap()?;
        assert!(!followed.is_cut, "what is handed on has a complete batch, or nothing");
        Ok(followed.lines)
    }

    /// Looks until there is nothing more.
    async fn catch_up(&mut self, log_id: &str) -> Result<u64, ReadError> {
        while self.look(log_id).await? {}
        Ok(self.end().seq)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Root of the tree of a log.
fn root_of(log: &LiveLog) -> (u64, Hash) {
    log.handles.context.tree.head()
}

/// Histories with sealed segments, forgotten payloads and writers that went back to an earlier event.
#[tokio::test]
async fn a_copy_that_is_made_from_an_archive_is_the_log_while_a_removal_runs_at_any_step() {
    let mut removed = 0;
    for seed in 0..SEEDS {
        let archived = Archived::with_seed(seed).await;
        let mut call = 0;
        loop {
            let directory = tempfile::tempdir().unwrap();
            let (store, faults) = (archived.copy(), Faults::paused(call));
            let mut copy = Copy::open(directory.path(), &failing(&store, &faults));
            let meanwhile = async {
                match archived.prune(&store).await {
                    Ok(pruned) => removed += pruned.pieces,
                    Err(fault) => panic!("a standby holds up no removal: {fault}"),
                }
            };
            let restored = around(copy.catch_up(&archived.log_id), &faults, meanwhile).await;
            assert_eq!(restored.unwrap(), archived.log.head(), "seed {seed}, call {call}");
            assert_eq!(copy.root(), root_of(&archived.log), "seed {seed}, call {call}");
            if !faults.reached() {
                assert!(call > 5, "a rebuild has more calls: {call}");
                break;
            }
            call += 1;
        }
    }
    assert!(removed > 100, "{removed}");
}

#[tokio::test]
async fn tails_that_a_segment_replaces_are_not_read_again_and_a_seal_comes_with_the_next_header() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    log.save("the first").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let log_id = archive.log_id.clone();
    let mut copy = Copy::open(&at("copy"), &store);
    for number in 0..4 {
        while archive.ship_piece().await.unwrap() {}
        assert_eq!(copy.catch_up(&log_id).await.unwrap(), log.head(), "{number}");
        log.save("in the middle of a segment").await;
        while archive.ship_piece().await.unwrap() {}
        assert_eq!(copy.catch_up(&log_id).await.unwrap(), log.head(), "{number}");
        log.rotate().await;
        // Only the segment is archived, with its seal, and the copy has all of its events.
        while archive.ship_piece().await.unwrap() {}
        assert!(!copy.look(&log_id).await.unwrap());
        let faults = Faults::paused(-1);
        copy.reader = ArchiveReader::new(failing(&store, &faults));
        copy.look(&log_id).await.unwrap();
        let calls = faults.calls();
        copy.look(&log_id).await.unwrap();
        assert!(faults.calls() - calls < calls, "what has nothing new is not read twice: {calls}");
        archive.backup(&stopped(), Timestamp::now()).await.unwrap();
        log.save("the first of the next segment").await;
    }
    while archive.ship_piece().await.unwrap() {}
    copy.catch_up(&log_id).await.unwrap();
    assert_eq!(copy.root(), root_of(&log));
    drop(copy);
    // A new process continues where the last one ended, also within a piece.
    log.save("one more").await;
    while archive.ship_piece().await.unwrap() {}
    let mut copy = Copy::open(&at("copy"), &store);
    assert!(copy.end().seq + 1 == log.head());
    copy.catch_up(&log_id).await.unwrap();
    assert_eq!(copy.root(), root_of(&log));
}

#[tokio::test]
async fn a_fence_before_the_end_of_a_copy_leaves_it_and_objects_that_are_gone_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    log.save("both have it").await;
    let mut old = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let log_id = old.log_id.clone();
    old.backup(&stopped(), Timestamp::now()).await.unwrap();
    let wanted = Wanted { until: Some(Until::Event(1)), ..Wanted::default() };
    restore(&store, &at("back"), &wanted, true, &Silent).await.unwrap();
    for number in 0..5 {
        log.save(&format!("of the first writer {number}")).await;
    }
    while old.ship_piece().await.unwrap() {}
    let mut copy = Copy::open(&at("copy"), &store);
    assert_eq!(copy.catch_up(&log_id).await.unwrap(), 6);
    // Somebody removes the end of the archive. No writer has left it.
    let part = store.of_log(&log_id).unwrap();
    let names = part.all_names().await.unwrap().piece_names();
    let last = names.iter().find(|name| name.last_seq == 6).unwrap().to_string();
    let bytes = part.pieces.get(&last, 1 << 20).await.unwrap();
    part.pieces.delete(&last).await.unwrap();
    let short = copy.look(&log_id).await;
    assert!(matches!(short, Err(ReadError::Short { own: 6, .. })), "{short:?}");
    part.pieces.create(&last, &bytes).await.unwrap();
    assert!(!copy.look(&log_id).await.unwrap(), "it is there again");
    // Another writer continues from event 1, and reaches less far, or further.
    let back = LiveLog::open(&at("back"));
    back.save("of the second writer").await;
    let mut new = Archive::open(&store, &back.handles, metrics()).await.unwrap();
    let left = copy.look(&log_id).await;
    assert!(matches!(left, Err(ReadError::Left(1, _))), "before anything of it is archived: {left:?}");
    for number in 0..9 {
        back.save(&format!("of the second writer {number}")).await;
    }
    while new.ship_piece().await.unwrap() {}
    let left = copy.look(&log_id).await;
    assert!(matches!(left, Err(ReadError::Left(1, _))), "{left:?}");
    let mut again = Copy::open(&at("again"), &store);
    again.catch_up(&log_id).await.unwrap();
    assert_eq!(again.root(), root_of(&back));
    // A writer that takes over everything leaves nothing behind.
    let _next = Archive::open(&store, &back.handles, metrics()).await.unwrap();
    assert!(!again.look(&log_id).await.unwrap());
}

#[tokio::test]
async fn a_damaged_piece_is_named_and_what_cannot_be_read_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let faults: Arc<Faults> = Arc::default();
    let store = repository(&at("store"), &faults);
    let log = LiveLog::open(&at("data"));
    log.save("the first").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let log_id = archive.log_id.clone();
    while archive.ship_piece().await.unwrap() {}
    let mut copy = Copy::open(&at("copy"), &store);
    copy.catch_up(&log_id).await.unwrap();
    log.save("the second").await;
    while archive.ship_piece().await.unwrap() {}
    faults.go_away(true);
    let away = copy.look(&log_id).await;
    assert!(matches!(away, Err(ReadError::Store(_) | ReadError::Unread(_))), "{away:?}");
    faults.go_away(false);
    let part = store.of_log(&log_id).unwrap();
    let names = part.all_names().await.unwrap().piece_names();
    let piece = names.iter().find(|name| name.first_seq == 2).unwrap();
    let keys = part.keys.get(&piece.keys(), 1 << 20).await.unwrap();
    faults.deny(Some("keys"));
    let denied = copy.look(&log_id).await;
    assert!(matches!(denied, Err(ReadError::Unread(_))), "{denied:?}");
    faults.deny(None);
    for name in [piece.to_string(), piece.keys()] {
        let bytes = part.pieces.get(&name, 1 << 20).await.unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        part.pieces.put(&name, &changed).await.unwrap();
        let damaged = copy.look(&log_id).await;
        assert!(
            matches!(&damaged, Err(ReadError::Damaged(object)) if object.to_string().contains(&name)),
            "{damaged:?}"
        );
        part.pieces.put(&name, &bytes).await.unwrap();
    }
    // A piece at the end that is gone cannot be told from one that was never stored. Without its keys it is damage.
    part.keys.delete(&piece.keys()).await.unwrap();
    let missing = copy.look(&log_id).await;
    assert!(
        matches!(&missing, Err(ReadError::Damaged(object)) if object.name == piece.keys()),
        "{missing:?}"
    );
    part.keys.put(&piece.keys(), &keys).await.unwrap();
    assert_eq!(copy.catch_up(&log_id).await.unwrap(), 2, "it can be used again");
    assert_eq!(copy.root(), root_of(&log));
}

/// A payload whose key is gone is damage unless the event that forgot it is known to be in the archive.
#[tokio::test]
async fn what_is_forgotten_while_keys_are_read_is_explained_by_the_last_event_of_the_answer() {
    let mut missing = 0;
    for call in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let store = repository(&at("store"), &Arc::default());
        let log = LiveLog::open(&at("data"));
        let first = log.save("the first").await;
        let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
        let log_id = archive.log_id.clone();
        while archive.ship_piece().await.unwrap() {}
        let faults = Faults::paused(call);
        let mut reader = ArchiveReader::new(failing(&store, &faults));
        let meanwhile = async {
            log.forget(&[first]).await;
            while archive.ship_piece().await.unwrap() {}
            archive.forget().await.unwrap();
        };
        let found = around(reader.lines_after(&log_id, CopyEnd::START, 0), &faults, meanwhile).await.unwrap();
        if String::from_utf8_lossy(&found.lines.lines).contains(r#""forgotten":"#) {
            missing += 1;
            assert_eq!(found.lines.head_seq, log.head(), "call {call}");
        }
        if !faults.reached() {
            assert!(call > 5, "a look has more calls: {call}");
            break;
        }
    }
    assert!(missing > 0, "a key was never gone when it was read");
}
