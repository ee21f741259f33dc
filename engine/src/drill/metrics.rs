//! The drill `metrics`: after requests their counters are there, are numbers, and have counted.

use engine_core::mode::Mode;

use super::attempt::Attempt;
use super::verdict::Stop;

/// Number of requests of each kind.
const REQUESTS: u32 = 3;
const HTTP: &str = "memory_http_requests_total";
const QUERIES: &str = "memory_queries_total";

impl Attempt<'_> {
    /// Sends requests that change nothing, and compares the metrics before and after.
    pub(super) async fn metrics(&mut self) -> Result<(), Stop> {
        let reads = self.needs("reads", Mode::reads).await.is_ok();
        // The first requests make the series that the next ones are compared with.
        self.requests(reads, "warm").await?;
        let before = self.samples().await?;
        self.requests(reads, "counted").await?;
        let after = self.samples().await?;
        let (number, bad) = after.finite();
        self.checks.note(
            "finite",
            bad.is_empty() && number > 0,
            format!("{number} samples, not finite: {bad:?}"),
        );
        let smaller = after.smaller_than(&before);
        self.checks.note(
            "never_smaller",
            smaller.is_empty(),
            format!("counters that became smaller: {smaller:?}"),
        );
        let http = |route| (HTTP, [("route", route), ("code", "200")]);
        let mut counted = vec![http("/v1/log/head")];
        if reads {
            counted.push(http("/v1/search"));
        } else {
            self.checks.skip("counted", "reads are off");
        }
        for (name, labels) in counted {
            let at = |samples: &super::samples::Samples| samples.sum(name, &labels);
            self.increased(labels[0].1, at(&before), at(&after));
        }
        if reads {
            let at = |samples: &super::samples::Samples| samples.sum(QUERIES, &[("operation", "search")]);
            self.increased("queries of searches", at(&before), at(&after));
        }
        self.version(&after).await
    }

    /// Other clients may have sent requests too, so a counter may have counted more.
    fn increased(&mut self, what: &str, before: Option<f64>, after: Option<f64>) {
        let detail = |why: &str| format!("{what}: {why}");
        match (before, after) {
            (Some(before), Some(after)) => {
                let increase = after - before;
                let ok = increase >= f64::from(REQUESTS);
                self.checks.note(
                    "counted",
                    ok,
                    detail(&format!("{increase} more after {REQUESTS} requests")),
                );
            }
            _ => self.checks.note("counted", false, detail("there is no such sample")),
        }
    }

    async fn requests(&self, reads: bool, words: &str) -> Result<(), Stop> {
        for number in 0..REQUESTS {
            self.connection.get("/v1/log/head").await?.ok("requests")?;
            if reads {
                // Each has other words, so that no answer comes from the cache.
                let (project, word) = (&self.project, &self.word);
                let path = format!("/v1/search?mode=lexical&project={project}&q={word}+{words}{number}");
                self.connection.get(&path).await?.ok("requests")?;
            }
        }
        Ok(())
    }

    /// The metrics are those of the engine whose health was asked for.
    async fn version(&mut self, samples: &super::samples::Samples) -> Result<(), Stop> {
        let health = self.connection.admin("/health").await?.ok("health")?;
        let version = health.json["version"].as_str().unwrap_or_default();
        let found = samples.set("memory_build_info", "version");
        self.checks.note("version", found == [version], format!("{found:?}, in health {version}"));
        Ok(())
    }
}
