//! Embedding requests in the format of OpenAI (`POST /v1/embeddings`), which most model servers support.

use std::time::Duration;

use engine_core::embedding::DIMENSION_MAX;
use serde::{Deserialize, Serialize};

use super::client::{Bounds, Client, json};
use super::failure::Failure;
use super::limits::Purpose;
use crate::token_count;

/// Longest number in a response, bytes: a sign, a point, an exponent and the digits of a 64-bit float.
const NUMBER_BYTES_MAX: usize = 32;
/// Maximum number of bytes of a response besides its numbers.
const ANSWER_BYTES: usize = 64 << 10;

/// Texts to embed, and the model.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub model: &'a str,
    /// Requested dimension, if any.
    pub dimensions: Option<usize>,
    /// Dimension of the vectors that are stored, if there are any. An answer of another dimension is a failure of the
    /// service, because it can be compared with nothing.
    pub stored: Option<usize>,
    pub texts: &'a [&'a str],
}

#[derive(Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    input: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
}

/// Embeds a batch: one vector for each text, in order, all non-zero and of the same dimension, which is the stored one.
/// `patience` is the timeout.
///
/// # Errors
/// If the request is not admitted or fails, or the response is not such a list of vectors.
pub async fn embed(
    client: &Client,
    batch: Batch<'_>,
    purpose: Purpose,
    patience: Duration,
) -> Result<Vec<Vec<f32>>, Failure> {
    let Batch { model, dimensions, stored, texts } = batch;
    let tokens: usize = texts.iter().map(|text| token_count(text)).sum();
    let numbers = texts.len() * dimensions.unwrap_or(DIMENSION_MAX);
    let bounds = Bounds {
        purpose,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
        patience,
        answer_bytes_max: ANSWER_BYTES + numbers * NUMBER_BYTES_MAX,
    };
    let body = json(&RequestBody { model, input: texts, dimensions });
    let read = |bytes: &[u8]| read(bytes, texts.len(), dimensions, stored);
    let (vectors, told) = client.post(body, bounds, read).await?;
    client.provider().count_tokens(told.unwrap_or(tokens as u64));
    Ok(vectors)
}

fn read(
    bytes: &[u8],
    count: usize,
    dimensions: Option<usize>,
    stored: Option<usize>,
) -> Result<(Vec<Vec<f32>>, Option<u64>), Failure> {
    // The parser's error is dropped, because it may quote the input.
    let Answer { mut data, usage } =
        serde_json::from_slice(bytes).map_err(|_| Failure::Malformed("no list of vectors"))?;
    data.sort_by_key(|item| item.index);
    if data.len() != count || data.iter().enumerate().any(|(place, item)| item.index != place) {
        return Err(Failure::Malformed("not one vector for each text"));
    }
    let vectors: Vec<Vec<f32>> = data.into_iter().map(|item| item.embedding).collect();
    let wanted = dimensions.or(vectors.first().map(Vec::len)).unwrap_or(0);
    if !(1..=DIMENSION_MAX).contains(&wanted) || vectors.iter().any(|vector| vector.len() != wanted) {
        return Err(Failure::Malformed("vectors of the wrong dimension"));
    }
    if stored.is_some_and(|stored| stored != wanted) {
        return Err(Failure::Malformed("vectors of another dimension than the stored ones"));
    }
    let points = |vector: &Vec<f32>| {
        vector.iter().all(|value| value.is_finite()) && vector.iter().any(|value| *value != 0.0)
    };
    if !vectors.iter().all(points) {
        return Err(Failure::Malformed("vectors that are zero or not finite"));
    }
    Ok((vectors, usage.and_then(|usage| usage.total_tokens)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, count: usize, dimensions: Option<usize>) -> Result<Vec<Vec<f32>>, Failure> {
        read(text.as_bytes(), count, dimensions, None).map(|(vectors, _)| vectors)
    }

    #[test]
    fn vectors_come_in_the_order_of_their_texts() {
        let text = r#"{"object": "list", "data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}],
            "usage": {"prompt_tokens": 5, "total_tokens": 5}}"#;
        let (vectors, tokens) = read(text.as_bytes(), 2, None, None).unwrap();
        assert_eq!((vectors, tokens), (vec![vec![1.0, 0.0], vec![0.0, 1.0]], Some(5)));
        assert!(parse(text, 2, Some(2)).is_ok());
        assert!(read(text.as_bytes(), 2, None, Some(2)).is_ok());
        let other = read(text.as_bytes(), 2, None, Some(3)).unwrap_err();
        assert_eq!(other, Failure::Malformed("vectors of another dimension than the stored ones"));
    }

    #[test]
    fn what_is_not_one_vector_for_each_text_is_refused() {
        let one = r#"{"data": [{"index": 0, "embedding": [1, 0]}]}"#;
        assert!(parse(one, 1, None).is_ok());
        for (text, count, dimensions) in [
            (one, 2, None),
            (one, 1, Some(3)),
            (r#"{"data": []}"#, 1, None),
            (r#"{"data": [{"index": 1, "embedding": [1, 0]}]}"#, 1, None),
            (r#"{"data": [{"index": 0, "embedding": []}]}"#, 1, None),
            (r#"{"data": [{"index": 0, "embedding": [0, 0]}]}"#, 1, None),
            (r#"{"data": [{"index": 0, "embedding": [1e60, 0]}]}"#, 1, None),
            (r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}"#, 2, None),
            (r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}"#, 2, None),
            ("<html>", 1, None),
            (r#"{"error": "secret text"}"#, 1, None),
        ] {
            let fault = parse(text, count, dimensions).unwrap_err();
            assert_eq!(fault.label(), "malformed", "{text}");
            assert!(!fault.to_string().contains("secret"));
        }
    }
}
