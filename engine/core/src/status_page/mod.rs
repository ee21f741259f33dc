//! The status page of an engine: one HTML document for people. It is a function of [`StatusFacts`]. Its only script
//! loads the same page again; without scripts the page is complete, and does not change by itself.
//!
//! [`html`] escapes, [`rows`], [`shown`] and [`figures`] are the parts, and each file of sections shows some facts.

mod activity_sections;
mod data_sections;
mod facts;
mod figures;
mod html;
mod mode_section;
mod rows;
mod shown;
#[cfg(test)]
mod tests;

pub use facts::{Means, StatusFacts};

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::wire::{DegradedReason, EngineStatus};
use html::Html;

/// What a browser may load for the page: nothing, except the style, the icon and the script that are inside of it, and
/// the reports of the same port. No other script can run, because the policy has the hash of this one. The page may not
/// be framed by another page either.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hash}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Loads the page again every ten seconds, until a person pauses it.
const SCRIPT: &str = include_str!("refresh.js");

/// How the page looks, light and dark.
const STYLE: &str = include_str!("style.css");

/// Reports of the admin port that programs read, and what they are.
const LINKS: [(&str, &str); 6] = [
    ("/health", "health (JSON)"),
    ("/mode", "mode and transitions (JSON)"),
    ("/health/models", "models (JSON)"),
    ("/metrics/json", "durations (JSON)"),
    ("/metrics", "metrics (Prometheus)"),
    ("/readyz?verbose", "readiness checks (text)"),
];

/// The page.
#[must_use]
pub fn status_page(shown: &StatusFacts) -> String {
    let mut html = Html::default();
    head(&mut html, shown);
    html.raw("<body>\n");
    header(&mut html, shown);
    html.raw("<main id=\"content\">\n");
    mode_section::add(&mut html, shown);
    data_sections::add(&mut html, shown);
    activity_sections::add(&mut html, shown);
    html.raw("</main>\n<footer><nav aria-label=\"Reports for programs\"><h2>Reports for programs</h2><ul>\n");
    for (path, what) in LINKS {
        html.raw("<li><a href=\"").raw(path).raw("\">").raw(what).raw("</a></li>\n");
    }
    html.raw("</ul></nav></footer>\n<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    html.finish()
}

fn head(html: &mut Html, shown: &StatusFacts) {
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    // A browser would ask for /favicon.ico otherwise.
    html.raw("<link rel=\"icon\" href=\"data:,\">\n<title>").text(word(shown.health.status)).raw(", ");
    html.text(shown.mode.mode.effective.as_str()).raw(" – memory engine</title>\n<style>\n").raw(STYLE);
    html.raw("</style>\n</head>\n");
}

fn header(html: &mut Html, shown: &StatusFacts) {
    let (status, mode) = (shown.health.status, &shown.mode.mode);
    html.raw("<header>\n<h1>Memory engine</h1>\n<div id=\"summary\">\n<p>Status: <strong class=\"");
    html.raw(if status == EngineStatus::Ok { "good" } else { "bad" }).raw("\">").text(word(status));
    html.raw("</strong>. Mode: ").code(mode.effective.as_str());
    if mode.effective != mode.wanted {
        html.raw(", wanted: ").code(mode.wanted.as_str());
    }
    html.raw(".</p>\n");
    if !shown.health.reasons.is_empty() {
        html.raw("<ul>\n");
        for reason in &shown.health.reasons {
            html.raw("<li>").text(explained(*reason)).raw("</li>\n");
        }
        html.raw("</ul>\n");
    }
    html.raw("<p class=\"made\">As of <time datetime=\"").text(&shown.now.to_string()).raw("\">");
    html.text(&shown.now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).raw("</time>.</p>\n</div>\n");
    // Whoever reads slowly, or with a screen reader, can stop the page from changing. The script shows the button.
    html.raw("<p class=\"made\"><span id=\"note\">Load the page again for newer figures.</span> ");
    html.raw("<button type=\"button\" id=\"refresh\" hidden>Pause refreshing</button></p>\n</header>\n");
}

fn word(status: EngineStatus) -> &'static str {
    match status {
        EngineStatus::Ok => "ok",
        EngineStatus::Degraded => "degraded",
    }
}

fn explained(reason: DegradedReason) -> &'static str {
    match reason {
        DegradedReason::LogOpening => "The log is being opened.",
        DegradedReason::VolumeFull => "No space is left on the volume; writes are refused.",
        DegradedReason::IoError => "A write or a sync failed; writes are refused until one succeeds.",
        DegradedReason::LogCorrupt => "The log does not verify; writes are refused.",
        DegradedReason::ProjectionRebuilding => "The projection is being rebuilt; reads are refused.",
        DegradedReason::ProjectionFailed => "The projection cannot be opened or built; reads are refused.",
        DegradedReason::EmbeddingUnavailable => {
            "The embedding service does not answer; searches use the built-in vectors."
        }
        DegradedReason::RerankUnavailable => "The reranker does not answer; results keep their order.",
        DegradedReason::PseudonymKeyLost => {
            "The key of the pseudonyms is missing; writes with personal data in names are refused."
        }
        DegradedReason::ConfigurationInvalid => {
            "The configuration file is invalid or cannot be read; what was read before is in force."
        }
        DegradedReason::CertificateInvalid => {
            "The files of a certificate have changed and cannot be used; the certificate before is served."
        }
        DegradedReason::SecretFileExposed => {
            "Somebody else can read or change a file with a key; the log names it. In production it would be refused."
        }
        DegradedReason::IssuerUnavailable => {
            "The keys of an issuer of tokens cannot be fetched, so that its tokens are refused; the log says why."
        }
        DegradedReason::ModeForced => "The guard or a person allows less than is wanted.",
        DegradedReason::ModeUnreadable => {
            "The file mode/mode.json cannot be read, so that reads are refused. Set a mode with `memory-engine mode want`, \
             or repair or remove the file."
        }
        DegradedReason::ChainBroken => {
            "The log that is followed is not the one of the copy, or does not verify; reads are refused."
        }
        DegradedReason::CopyBehind => "The copy is too far behind the log that is followed.",
        DegradedReason::Unknown => "Something else does not work.",
    }
}
