//! The spans of a search: its stages, and its requests to models. Their attributes are names and numbers of the program
//! and of its configuration, never the query or a text.

use service::STAGE_SPAN;
use tracing::Span;
use tracing::field::Empty;

use crate::providers::Service;

/// Begins the span of one stage.
pub(crate) fn stage(name: &'static str) -> Span {
    tracing::info_span!(
        target: STAGE_SPAN,
        "stage",
        otel.kind = "internal",
        otel.name = name,
        memory.stage = name
    )
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
