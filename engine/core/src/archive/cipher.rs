//! Encrypts payloads with ChaCha20-Poly1305, as in RFC 8439. Tables of keys are encrypted more than once under one key,
//! with XChaCha20-Poly1305.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305, XNonce};

/// Length of a key, bytes.
pub const KEY_BYTES: usize = 32;
/// Length of the nonce under a [`WrappingKey`], bytes. Random values of this length do not repeat.
pub const WRAPPING_NONCE_BYTES: usize = 24;
/// What encryption adds, bytes.
pub const TAG_BYTES: usize = 16;

/// Key of one payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PayloadKey(pub [u8; KEY_BYTES]);

// Prints nothing of the key.
impl std::fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PayloadKey(..)")
    }
}

/// The key to which tables of keys are encrypted.
#[derive(Clone)]
pub struct WrappingKey(pub [u8; KEY_BYTES]);

impl std::fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrappingKey(..)")
    }
}

/// The ciphertext is not what this key encrypted for this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be decrypted: it was changed, or encrypted under another key")]
pub struct Undecryptable;

impl PayloadKey {
    /// Encrypts the one payload of this key. The nonce is zero, which is safe because no key is used twice. `place` is
    /// not stored; a ciphertext can be decrypted only with the same one.
    pub fn encrypt(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = ChaCha20Poly1305::new(&self.0.into())
            .encrypt(&Default::default(), Payload { msg: plain, aad: place });
        sealed.expect("a payload is far shorter than the cipher's limit of 256 GiB")
    }

    /// Decrypts.
    ///
    /// # Errors
    /// It is not the ciphertext of this key and place.
    pub fn decrypt(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let opened = ChaCha20Poly1305::new(&self.0.into())
            .decrypt(&Default::default(), Payload { msg: sealed, aad: place });
        opened.map_err(|_| Undecryptable)
    }
}

impl WrappingKey {
    /// Encrypts a table. `nonce` is random.
    pub fn encrypt(&self, nonce: [u8; WRAPPING_NONCE_BYTES], place: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: place });
        sealed.expect("a table is far shorter than the cipher's limit of 256 GiB")
    }

    /// Decrypts.
    ///
    /// # Errors
    /// It is not a ciphertext of this key, nonce and place.
    pub fn decrypt(
        &self,
        nonce: [u8; WRAPPING_NONCE_BYTES],
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Undecryptable> {
        let opened = XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: place });
        opened.map_err(|_| Undecryptable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_belongs_to_its_key_and_place() {
        let key = PayloadKey([7; KEY_BYTES]);
        let sealed = key.encrypt(b"here", b"text");
        assert_eq!(sealed.len(), 4 + TAG_BYTES);
        assert_eq!(key.decrypt(b"here", &sealed), Ok(b"text".to_vec()));
        assert_eq!(key.decrypt(b"there", &sealed), Err(Undecryptable));
        assert_eq!(PayloadKey([8; KEY_BYTES]).decrypt(b"here", &sealed), Err(Undecryptable));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key.decrypt(b"here", &changed), Err(Undecryptable));
        }
        let (wrapping, nonce) = (WrappingKey([9; KEY_BYTES]), [1; WRAPPING_NONCE_BYTES]);
        let sealed = wrapping.encrypt(nonce, b"p", b"table");
        assert_eq!(wrapping.decrypt(nonce, b"p", &sealed), Ok(b"table".to_vec()));
        assert_eq!(wrapping.decrypt([2; WRAPPING_NONCE_BYTES], b"p", &sealed), Err(Undecryptable));
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(
            format!("{:?}{:?}", PayloadKey([7; 32]), WrappingKey([7; 32])),
            "PayloadKey(..)WrappingKey(..)"
        );
    }
}
