//! The keys of the payloads of one piece. Forgetting a payload removes its key; the piece itself never changes.

use serde::{Deserialize, Serialize};

use super::cipher::{KEY_BYTES, PayloadKey, WRAPPING_NONCE_BYTES, WrappingKey};
use crate::digest::{Hash, hex, is_id};

const MAGIC: &str = "memory-archive/1 keys\n";
/// A kind, and a key or an id.
const ROW_BYTES: usize = 1 + KEY_BYTES;
const ROW_KEY: u8 = 1;
const ROW_FORGOTTEN: u8 = 2;
/// Length of an id, bytes.
const ID_BYTES: usize = 16;
/// Maximum length of the header, bytes. It has a few fields of fixed length.
const HEADER_BYTES_MAX: usize = 1 << 10;

/// What is known of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Its key.
    Key(PayloadKey),
    /// It was forgotten by the event with this id.
    Forgotten(String),
}

/// The keys of a piece, in the order of its payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTable {
    /// SHA-256 of the piece.
    pub piece: Hash,
    /// One row for each payload of the piece.
    pub rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    piece: Hash,
    rows: u64,
    /// Nonce of the encryption, hexadecimal; absent if the rows are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// Why a table cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// It is not such a table.
    #[error("it is no table of keys")]
    Form,
    /// It belongs to another piece.
    #[error("it belongs to another piece")]
    Piece,
    /// It is encrypted, and there is no key.
    #[error("it is encrypted, and no key-encryption key is configured")]
    NoKey,
    /// It is not encrypted, and there is a key: somebody without the key may have made it.
    #[error("it is not encrypted, and a key-encryption key is configured")]
    Plain,
    /// The key is another one, or the table was changed.
    #[error("it cannot be decrypted: it was changed, or the key-encryption key is another one")]
    Undecryptable,
}

impl KeyTable {
    /// The folder of tables.
    pub const FOLDER: &str = "keys";

    /// Encodes the table; encrypted if there is a key, with a random nonce.
    pub fn encode(&self, wrapping: Option<(&WrappingKey, [u8; WRAPPING_NONCE_BYTES])>) -> Vec<u8> {
        let nonce = wrapping.map(|(_, nonce)| hex(&nonce));
        let header = Header { piece: self.piece, rows: self.rows.len() as u64, nonce };
        let mut head = MAGIC.as_bytes().to_vec();
        serde_json::to_writer(&mut head, &header).expect("strings and numbers are always JSON");
        head.push(b'\n');
        let rows: Vec<u8> = self.rows.iter().flat_map(encode_row).collect();
        let rows = match wrapping {
            Some((key, nonce)) => key.encrypt(nonce, &head, &rows),
            None => rows,
        };
        head.extend_from_slice(&rows);
        head
    }

    /// Decodes the table of the piece with this hash. With a key, only a table that is encrypted under it: one without
    /// encryption can be made by anybody who can write to the store.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(
        bytes: &[u8],
        piece: &Hash,
        wrapping: Option<&WrappingKey>,
    ) -> Result<KeyTable, TableFault> {
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(TableFault::Form)?;
        let end =
            rest.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n').ok_or(TableFault::Form)?;
        let header: Header = serde_json::from_slice(&rest[..end]).map_err(|_| TableFault::Form)?;
        if header.piece != *piece {
            return Err(TableFault::Piece);
        }
        let (head, rows) = bytes.split_at(MAGIC.len() + end + 1);
        let opened = match &header.nonce {
            None if wrapping.is_some() => return Err(TableFault::Plain),
            None => rows.to_vec(),
            Some(nonce) => {
                let nonce = nonce_of(nonce).ok_or(TableFault::Form)?;
                let key = wrapping.ok_or(TableFault::NoKey)?;
                key.decrypt(nonce, head, rows).map_err(|_| TableFault::Undecryptable)?
            }
        };
        let (chunks, rest) = opened.as_chunks::<ROW_BYTES>();
        if chunks.len() as u64 != header.rows || !rest.is_empty() {
            return Err(TableFault::Form);
        }
        let rows = chunks.iter().map(decode_row).collect::<Option<Vec<_>>>().ok_or(TableFault::Form)?;
        Ok(KeyTable { piece: *piece, rows })
    }

    /// Removes the keys of these payloads. Returns how many were still there.
    pub fn forget(&mut self, payloads: &[(usize, String)]) -> usize {
        let mut removed = 0;
        for (place, by) in payloads {
            if let Some(row) = self.rows.get_mut(*place)
                && matches!(row, Row::Key(_))
            {
                *row = Row::Forgotten(by.clone());
                removed += 1;
            }
        }
        removed
    }
}

fn encode_row(row: &Row) -> [u8; ROW_BYTES] {
    let mut bytes = [0; ROW_BYTES];
    match row {
        Row::Key(key) => {
            bytes[0] = ROW_KEY;
            bytes[1..].copy_from_slice(&key.0);
        }
        Row::Forgotten(by) => {
            bytes[0] = ROW_FORGOTTEN;
            let id = u128::from_str_radix(by, 16).unwrap_or_default();
            bytes[1..=ID_BYTES].copy_from_slice(&id.to_be_bytes());
        }
    }
    bytes
}

fn decode_row(bytes: &[u8; ROW_BYTES]) -> Option<Row> {
    let rest = &bytes[1..];
    match bytes[0] {
        ROW_KEY => Some(Row::Key(PayloadKey(rest.try_into().ok()?))),
        ROW_FORGOTTEN => {
            let id = hex(&rest[..ID_BYTES]);
            rest[ID_BYTES..].iter().all(|byte| *byte == 0).then_some(Row::Forgotten(id))
        }
        _ => None,
    }
}

pub(super) fn nonce_of(text: &str) -> Option<[u8; WRAPPING_NONCE_BYTES]> {
    let plain = text.len() == 2 * WRAPPING_NONCE_BYTES && is_id(&text[..32]);
    let byte = |place: usize| u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..WRAPPING_NONCE_BYTES).map(byte).collect();
    bytes.filter(|_| plain)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn table() -> KeyTable {
        let keys = (0..3).map(|number| Row::Key(PayloadKey([number; KEY_BYTES])));
        KeyTable { piece: Hash::of(b"piece"), rows: keys.collect() }
    }

    #[test]
    fn a_table_is_read_back_with_and_without_encryption() {
        let (table, key) = (table(), WrappingKey([1; KEY_BYTES]));
        let plain = table.encode(None);
        assert_eq!(KeyTable::decode(&plain, &table.piece, None), Ok(table.clone()));
        let sealed = table.encode(Some((&key, [2; WRAPPING_NONCE_BYTES])));
        assert_eq!(KeyTable::decode(&sealed, &table.piece, Some(&key)), Ok(table.clone()));
        assert_eq!(KeyTable::decode(&sealed, &table.piece, None), Err(TableFault::NoKey));
        let other = WrappingKey([3; KEY_BYTES]);
        assert_eq!(KeyTable::decode(&sealed, &table.piece, Some(&other)), Err(TableFault::Undecryptable));
        assert_eq!(KeyTable::decode(&plain, &Hash::of(b"other"), None), Err(TableFault::Piece));
        assert_eq!(KeyTable::decode(&plain, &table.piece, Some(&key)), Err(TableFault::Plain));
        assert!(!sealed.windows(KEY_BYTES).any(|window| window == [1; KEY_BYTES]), "no key can be seen");
    }

    #[test]
    fn every_changed_byte_of_an_encrypted_table_is_noticed() {
        let (table, key) = (table(), WrappingKey([1; KEY_BYTES]));
        let sealed = table.encode(Some((&key, [2; WRAPPING_NONCE_BYTES])));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(KeyTable::decode(&changed, &table.piece, Some(&key)).is_err(), "byte {place}");
            assert!(KeyTable::decode(&sealed[..place], &table.piece, Some(&key)).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn forgetting_removes_a_key_once() {
        let mut table = table();
        let forgotten = [(1, ID.to_owned()), (9, ID.to_owned())];
        assert_eq!((table.forget(&forgotten), table.forget(&forgotten)), (1, 0));
        let bytes = table.encode(None);
        assert!(!bytes.windows(KEY_BYTES).any(|window| window == [1; KEY_BYTES]), "the key is gone");
        let read = KeyTable::decode(&bytes, &table.piece, None).unwrap();
        assert_eq!(read.rows[1], Row::Forgotten(ID.to_owned()));
        assert_eq!(read, table);
    }
}
