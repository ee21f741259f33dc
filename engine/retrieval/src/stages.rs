//! The stages of a search: how long each takes, and its span. Also the spans of requests to models. The attributes of
//! spans are names and numbers of the program and of its configuration, never the query or a text.

use std::cell::Cell;
use std::time::{Duration, Instant};

use service::{STAGE_SPAN, Timed};
use tracing::Span;
use tracing::field::Empty;

use crate::providers::Service;

/// A stage of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The vector of the query.
    Embed,
    /// The candidates of all lanes.
    Retrieve,
    /// The features of each candidate.
    Features,
    /// The score of each candidate, and their order.
    Rank,
    /// The results of several projects and of the reranker are merged.
    Fusion,
    /// The complete search.
    Total,
}

impl Stage {
    const ALL: [Stage; 6] =
        [Stage::Embed, Stage::Retrieve, Stage::Features, Stage::Rank, Stage::Fusion, Stage::Total];

    /// Label in metrics, and name of the span.
    fn label(self) -> &'static str {
        match self {
            Stage::Embed => "embed",
            Stage::Retrieve => "retrieve",
            Stage::Features => "features",
            Stage::Rank => "rank",
            Stage::Fusion => "fusion",
            Stage::Total => "total",
        }
    }

    /// Begins the span of the stage. The complete search has none, because the query it is part of has one.
    fn span(self) -> Span {
        if self == Stage::Total {
            return Span::none();
        }
        tracing::info_span!(
            target: STAGE_SPAN,
            "stage",
            otel.kind = "internal",
            otel.name = self.label(),
            memory.stage = self.label()
        )
    }
}

/// Durations of the stages of one search. A stage that runs for several projects is added up.
#[derive(Debug, Default)]
pub(super) struct StageTimes([Cell<Duration>; Stage::ALL.len()]);

impl StageTimes {
    /// Runs a part of a stage in a span of the stage.
    pub(super) fn measure<T>(&self, stage: Stage, part: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = stage.span().in_scope(part);
        self.add(stage, started.elapsed());
        result
    }

    /// Adds time that a stage has taken elsewhere.
    pub(super) fn add(&self, stage: Stage, elapsed: Duration) {
        let total = &self.0[stage as usize];
        total.set(total.get() + elapsed);
    }

    /// Counts the stages that ran.
    pub(super) fn count(&self, timed: &Timed) {
        for (stage, elapsed) in Stage::ALL.into_iter().zip(&self.0) {
            if elapsed.get() > Duration::ZERO {
                timed.observe(stage.label(), elapsed.get());
            }
        }
    }
}

/// Begins the span of a request to a model, with the attributes of the conventions for generative AI.
pub(crate) fn model_request(provider: &'static str, service: &Service) -> Span {
    let operation = if provider == "embedding" { "embeddings" } else { provider };
    let model = service.model.as_str();
    tracing::info_span!(
        target: STAGE_SPAN,
        "model",
        otel.kind = "client",
        otel.name = format_args!("{operation} {model}"),
        otel.status_code = Empty,
        gen_ai.operation.name = operation,
        gen_ai.request.model = model,
        gen_ai.usage.input_tokens = Empty,
        server.address = service.url.host(),
        server.port = service.url.port_u16(),
        error.type = Empty,
    )
}

#[cfg(test)]
mod tests {
    use engine_core::metrics::table::STAGES;

    use super::*;

    #[test]
    fn the_stages_are_those_of_the_table() {
        assert_eq!(Stage::ALL.map(Stage::label), STAGES);
        let times = StageTimes::default();
        let pause = || std::thread::sleep(Duration::from_millis(2));
        times.measure(Stage::Total, || times.measure(Stage::Rank, pause));
        times.measure(Stage::Rank, pause);
        assert!(times.0[Stage::Rank as usize].get() >= Duration::from_millis(4));
        assert_eq!(times.0[Stage::Embed as usize].get(), Duration::ZERO);
    }
}
