//! The keys of a volume as an object of a backup: file names below `keys/`, and what is in the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cipher::{WRAPPING_NONCE_BYTES, WrappingKey};
use super::key_table::{TableFault, nonce_of};
use crate::digest::hex;

const MAGIC: &str = "memory-archive/1 volume-keys\n";
/// The folder of such objects.
pub const FOLDER: &str = "volume";
/// Maximum length of the object, bytes. It has a few keys of some hundred bytes.
pub const VOLUME_KEYS_BYTES_MAX: usize = 64 << 10;

/// Names of files, and their texts.
pub type VolumeKeys = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// Encodes the keys; encrypted if there is a key, with a random nonce.
pub fn encode(keys: &VolumeKeys, wrapping: Option<(&WrappingKey, [u8; WRAPPING_NONCE_BYTES])>) -> Vec<u8> {
    let header = Header { nonce: wrapping.map(|(_, nonce)| hex(&nonce)) };
    let mut head = MAGIC.as_bytes().to_vec();
    serde_json::to_writer(&mut head, &header).expect("strings are always JSON");
    head.push(b'\n');
    let body = serde_json::to_vec(keys).expect("strings are always JSON");
    let body = match wrapping {
        Some((key, nonce)) => key.encrypt(nonce, &head, &body),
        None => body,
    };
    head.extend_from_slice(&body);
    head
}

/// Decodes the object.
///
/// # Errors
/// Why it cannot be used.
pub fn decode(bytes: &[u8], wrapping: Option<&WrappingKey>) -> Result<VolumeKeys, TableFault> {
    let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(TableFault::Form)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(TableFault::Form)?;
    let header: Header = serde_json::from_slice(&rest[..end]).map_err(|_| TableFault::Form)?;
    let (head, body) = bytes.split_at(MAGIC.len() + end + 1);
    let body = match &header.nonce {
        // Whoever can write to the store can make an object without encryption.
        None if wrapping.is_some() => return Err(TableFault::Plain),
        None => body.to_vec(),
        Some(nonce) => {
            let nonce = nonce_of(nonce).ok_or(TableFault::Form)?;
            let key = wrapping.ok_or(TableFault::NoKey)?;
            key.decrypt(nonce, head, body).map_err(|_| TableFault::Undecryptable)?
        }
    };
    let keys: VolumeKeys = serde_json::from_slice(&body).map_err(|_| TableFault::Form)?;
    let is_plain = |name: &String| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    if keys.keys().all(is_plain) { Ok(keys) } else { Err(TableFault::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_with_and_without_encryption() {
        let keys = VolumeKeys::from([("a.key".to_owned(), "secret".to_owned())]);
        let key = WrappingKey([1; 32]);
        assert_eq!(decode(&encode(&keys, None), None), Ok(keys.clone()));
        let sealed = encode(&keys, Some((&key, [2; WRAPPING_NONCE_BYTES])));
        assert_eq!(decode(&sealed, Some(&key)), Ok(keys.clone()));
        assert_eq!(decode(&sealed, None), Err(TableFault::NoKey));
        assert_eq!(decode(&encode(&keys, None), Some(&key)), Err(TableFault::Plain));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(decode(&changed, Some(&key)).is_err(), "byte {place}");
        }
        let outside = VolumeKeys::from([("../a".to_owned(), String::new())]);
        assert_eq!(decode(&encode(&outside, None), None), Err(TableFault::Form));
    }
}
