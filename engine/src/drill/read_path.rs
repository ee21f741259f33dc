//! The drill `read-path`: what was saved is found, is read, is in contexts, and citations name its events.

use engine_core::mode::Mode;
use engine_core::wire::{MemoryView, Saved, SearchHit};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::connection::Answer;
use super::verdict::Stop;

/// Number of memories.
const MEMORIES: usize = 3;
/// How often a request is repeated until it is answered from the cache. A write between two of them makes the answer
/// anew.
const TRIES: u32 = 5;
const CACHE: &str = "memory_cache_requests_total";
/// Digits of the hash of an event in a citation.
const CITED_DIGITS: usize = 12;

impl Attempt<'_> {
    /// Reads memories in every way: its own, or those that are there.
    pub(super) async fn read_path(&mut self) -> Result<(), Stop> {
        self.needs("reads", Mode::reads).await?;
        if self.options.read_only {
            return self.read_existing().await;
        }
        self.needs_writes().await?;
        let mut contents = Vec::new();
        for number in 1..=MEMORIES {
            let content = format!("Memory {number} of a drill that reads the word {}.", self.word);
            self.save(&content, "A drill").await?;
            contents.push(content);
        }
        let saved = self.saved.clone();
        let hits = self.found(&saved).await?;
        self.read(&saved, &contents).await?;
        self.in_order(&saved).await?;
        self.cited(&hits).await?;
        self.in_context(&hits).await?;
        self.cached().await
    }

    /// Reads a memory that is there.
    async fn read_existing(&mut self) -> Result<(), Stop> {
        let answer = self.connection.get("/v1/search?limit=1").await?.ok("found")?;
        let hits: Vec<SearchHit> = parsed("found", answer.json["items"].clone())?;
        let Some(hit) = hits.first() else {
            return Err(Stop::Skipped("found", "--read-only, and there is no memory".to_owned()));
        };
        let memory = self.connection.get(&format!("/v1/memories/{}", hit.id)).await?.ok("read")?;
        let memory: MemoryView = parsed("read", memory.json)?;
        let ok = memory.seq == hit.seq && memory.title == hit.title;
        self.checks.note("read", ok, "a memory that was found is read");
        let path = format!("/v1/timeline?anchor={}&before=1&after=1", hit.id);
        let timeline = self.connection.get(&path).await?.ok("timeline")?;
        let at = timeline.json["anchor"].as_u64().and_then(|at| usize::try_from(at).ok());
        let ok = at.is_some_and(|at| timeline.json["items"][at]["id"] == hit.id.as_str());
        self.checks.note("timeline", ok, "the timeline has it as its anchor");
        self.cited(&hits).await?;
        self.cached().await
    }

    /// A search finds every memory.
    async fn found(&mut self, saved: &[Saved]) -> Result<Vec<SearchHit>, Stop> {
        let (project, word, seq) = (&self.project, &self.word, self.last_seq());
        let mut hits = Vec::new();
        for mode in ["lexical", "hybrid"] {
            let path = format!("/v1/search?project={project}&q={word}&mode={mode}&limit=50&min_seq={seq}");
            let answer = self.connection.get(&path).await?.ok("found")?;
            hits = parsed("found", answer.json["items"].clone())?;
            let is_found = |saved: &&Saved| hits.iter().any(|hit: &SearchHit| hit.id == saved.id);
            let found = saved.iter().filter(is_found).count();
            self.checks.note("found", found == saved.len(), format!("{mode}: {found} of {}", saved.len()));
        }
        Ok(hits)
    }

    /// Each memory is as it was saved.
    async fn read(&mut self, saved: &[Saved], contents: &[String]) -> Result<(), Stop> {
        let mut same = 0;
        for (saved, content) in saved.iter().zip(contents) {
            let path = format!("/v1/memories/{}?min_seq={}", saved.id, saved.seq);
            let memory: MemoryView = parsed("read", self.connection.get(&path).await?.ok("read")?.json)?;
            let is_same = memory.content == *content && memory.seq == saved.seq && memory.hash == saved.hash;
            same += usize::from(is_same);
        }
        self.checks.note(
            "read",
            same == saved.len(),
            format!("{same} of {} as they were saved", saved.len()),
        );
        Ok(())
    }

    /// The timeline has the memories in the order of the log.
    async fn in_order(&mut self, saved: &[Saved]) -> Result<(), Stop> {
        let anchor = &saved[saved.len() / 2].id;
        let path =
            format!("/v1/timeline?anchor={anchor}&project={}&min_seq={}", self.project, self.last_seq());
        let answer = self.connection.get(&path).await?.ok("timeline")?;
        let items = answer.json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
        let expected: Vec<&str> = saved.iter().map(|saved| saved.id.as_str()).collect();
        let detail = format!("{} memories, {} expected", found.len(), expected.len());
        self.checks.note("timeline", found == expected, detail);
        Ok(())
    }

    /// The citation of each hit names an event of the log.
    async fn cited(&mut self, hits: &[SearchHit]) -> Result<(), Stop> {
        let mut resolved = 0;
        for hit in hits {
            let Some((seq, digits)) = hit.citation.split_once(':') else { continue };
            let Ok(seq) = seq.parse() else { continue };
            let event = self.event(seq).await?;
            let hash = event["hash"].as_str().unwrap_or_default();
            let is_it = seq == hit.seq && event["id"] == hit.id.as_str();
            resolved += usize::from(is_it && digits.len() == CITED_DIGITS && hash.starts_with(digits));
        }
        let ok = resolved == hits.len() && !hits.is_empty();
        self.checks.note("citations", ok, format!("{resolved} of {} name an event of the log", hits.len()));
        Ok(())
    }

    /// A context has every memory, with its citation.
    async fn in_context(&mut self, hits: &[SearchHit]) -> Result<(), Stop> {
        let answer = self.context().await?;
        let context = answer.json["context"].as_str().unwrap_or_default();
        let cited = hits.iter().filter(|hit| context.contains(&hit.citation)).count();
        self.checks.note(
            "context",
            cited == hits.len(),
            format!("{cited} of {} are cited in it", hits.len()),
        );
        Ok(())
    }

    async fn context(&self) -> Result<Answer, Stop> {
        let request = json!({"query": format!("a drill that reads the word {}", self.word), "project": self.project,
            "min_seq": self.last_seq()});
        self.connection.ask("/v1/checkout", &request).await?.ok("context")
    }

    /// The same request again is answered from the cache, with the same answer.
    async fn cached(&mut self) -> Result<(), Stop> {
        let first = self.context().await?;
        for _ in 0..TRIES {
            let before = self.hits().await?;
            let again = self.context().await?;
            if self.hits().await? > before {
                let same = again.json["context"] == first.json["context"];
                self.checks.note("cached", same, "a second identical read is answered from the cache");
                return Ok(());
            }
        }
        self.checks.note(
            "cached",
            false,
            format!("{TRIES} identical reads, and none was answered from the cache"),
        );
        Ok(())
    }

    /// Number of contexts that were answered from the cache.
    async fn hits(&self) -> Result<f64, Stop> {
        let samples = self.samples().await?;
        let outcomes = ["hit", "negative"].map(|outcome| [("cache", "checkout"), ("outcome", outcome)]);
        Ok(outcomes.iter().filter_map(|labels| samples.sum(CACHE, labels)).sum())
    }
}

fn parsed<T: DeserializeOwned>(name: &'static str, json: Value) -> Result<T, Stop> {
    // The fault may repeat a text.
    serde_json::from_value(json)
        .map_err(|_| Stop::Failed(name, "the answer is not that of an engine".to_owned()))
}
