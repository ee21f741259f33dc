//! A static embedding model that is read from a directory in the format of model2vec: a tokenizer, a table of token
//! vectors, and a configuration.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use model2vec_rs::model::StaticModel;
use sha2::{Digest, Sha256};
use thiserror::Error;

use engine_core::embedding::DIMENSION_MAX;
use service::regular_file;

/// Size limits of the table and of each other file, bytes. The largest published model has half a gigabyte, which is
/// more than an engine can hold in memory.
const TABLE_BYTES_MAX: u64 = 256 << 20;
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Number of bytes of the digest over the model's files that are part of the model id.
const NAME_BYTES: usize = 8;

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum BadModel {
    #[error("cannot read {path:?} of the model: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} has more than {max} bytes")]
    TooLarge { path: PathBuf, max: u64 },
    #[error("{path:?} is not a model2vec model: {fault}")]
    Form { path: PathBuf, fault: String },
}

/// A model read from files.
#[derive(Debug)]
pub struct DirectoryModel {
    id: String,
    dimension: usize,
    model: StaticModel,
}

/// Two models are equal if their files are.
impl PartialEq for DirectoryModel {
    fn eq(&self, other: &DirectoryModel) -> bool {
        self.id == other.id
    }
}

impl Eq for DirectoryModel {}

impl DirectoryModel {
    /// Reads a model from a directory with `tokenizer.json`, `model.safetensors` and `config.json`.
    ///
    /// # Errors
    /// If a file cannot be read, is too large, or is not part of a valid model2vec model.
    pub fn read(directory: &Path) -> Result<DirectoryModel, BadModel> {
        let tokenizer = file(directory, "tokenizer.json", TEXT_BYTES_MAX)?;
        let table = file(directory, "model.safetensors", TABLE_BYTES_MAX)?;
        let config = file(directory, "config.json", TEXT_BYTES_MAX)?;
        let bad = |fault: String| BadModel::Form { path: directory.to_owned(), fault };
        let model = StaticModel::from_bytes(&tokenizer, &table, &config, None);
        let model = model.map_err(|fault| bad(format!("{fault:#}")))?;
        let dimension = model.dim();
        if !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(bad(format!(
                "its vectors have {dimension} dimensions; 1 to {DIMENSION_MAX} are supported"
            )));
        }
        let mut digest = Sha256::new();
        for part in [&tokenizer, &table, &config] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let name: String =
            digest.finalize().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Ok(DirectoryModel { id: format!("model2vec/{name}"), dimension, model })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector of a text, computed from its first 512 tokens.
    pub(super) fn embed(&self, text: &str) -> Vec<f32> {
        self.model.encode_single(text)
    }
}

fn file(directory: &Path, name: &str, max: u64) -> Result<Vec<u8>, BadModel> {
    let path = directory.join(name);
    let unread = |source| BadModel::Read { path: path.clone(), source };
    let mut bytes = Vec::new();
    let file = regular_file::open(OpenOptions::new().read(true), &path).map_err(unread)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > max {
        return Err(BadModel::TooLarge { path, max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::Model;
    use crate::vectors::Vectors;

    /// Writes a model of four words in two dimensions: one dimension for hot things, one for hard things.
    fn written() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                           "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100,
                      "vocab": {"[PAD]": 0, "[UNK]": 1, "tea": 2, "soup": 3, "stone": 4, "brick": 5}},
        });
        let rows: [[f32; 2]; 6] = [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]];
        let cells: Vec<u8> = rows.iter().flatten().flat_map(|cell| cell.to_le_bytes()).collect();
        let head = json!({"embeddings": {"dtype": "F32", "shape": [6, 2], "data_offsets": [0, cells.len()]}});
        let head = head.to_string();
        let table = [&(head.len() as u64).to_le_bytes(), head.as_bytes(), &cells].concat();
        fs::write(directory.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        fs::write(directory.path().join("model.safetensors"), table).unwrap();
        fs::write(directory.path().join("config.json"), r#"{"normalize": true}"#).unwrap();
        directory
    }

    #[test]
    fn meaning_is_that_of_the_directory() {
        let directory = written();
        let read: &'static DirectoryModel =
            Box::leak(Box::new(DirectoryModel::read(directory.path()).unwrap()));
        let model = Model::Directory(read);
        assert_eq!((model.dimension(), &model.id()[..10]), (2, "model2vec/"));
        assert_eq!(DirectoryModel::read(directory.path()).unwrap().id(), model.id());
        let mut vectors = Vectors::new(model);
        for text in ["a stone", "some tea", "unknown words"] {
            assert!(!vectors.push(text).is_empty(), "late interaction still has tokens");
        }
        let asked = vectors.ask("Soup").unwrap();
        let found = vectors.rows().nearest(&asked, 3, |_| true);
        assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 0]);
        assert!(vectors.ask("nothing it knows").is_none());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for (name, bytes) in
            [("tokenizer.json", "{}"), ("model.safetensors", "no table"), ("config.json", "}")]
        {
            let directory = written();
            fs::write(directory.path().join(name), bytes).unwrap();
            assert!(matches!(DirectoryModel::read(directory.path()), Err(BadModel::Form { .. })), "{name}");
            fs::remove_file(directory.path().join(name)).unwrap();
            let fault = DirectoryModel::read(directory.path()).unwrap_err();
            assert!(fault.to_string().contains(name), "{fault}");
        }
    }
}
