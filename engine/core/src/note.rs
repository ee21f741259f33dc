//! Signed notes as in c2sp.org/signed-note: a text, a blank line, and lines of signatures over the text.
//!
//! Only Ed25519 signatures are made and verified. A signature by an unknown key is ignored. A note with a wrong
//! signature by a known key is refused.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Maximum size of a note, bytes: enough for sixteen signatures of any algorithm in use today. Larger notes are
/// refused.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// Maximum number of signatures of a note. A note with more is refused.
pub const SIGNATURES_MAX: usize = 100;
/// Maximum length of a key's name, bytes.
pub const KEY_NAME_BYTES_MAX: usize = 256;

/// Algorithm number of Ed25519: the first byte of an encoded key, also included in the hash that gives the key's id.
const ED25519: u8 = 1;
const SIGNER_PREFIX: &str = "PRIVATE+KEY+";
const DASH: &str = "\u{2014} ";

/// Why a text is not a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// The text does not have the form `NAME+ID+KEY`.
    #[error("a key has the form NAME+ID+KEY")]
    Form,
    /// The name is empty, too long, or contains a space, a plus sign or a control character.
    #[error(
        "the name of a key must not be empty or too long, or contain spaces, control characters or plus signs"
    )]
    Name,
    /// The id is not the id of a key with this name and these bytes.
    #[error("the id of the key does not match its name and its bytes")]
    Id,
    /// The key is not an Ed25519 key.
    #[error("the key is not an Ed25519 key")]
    Algorithm,
}

impl KeyFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            KeyFault::Form => "form",
            KeyFault::Name => "name",
            KeyFault::Id => "id",
            KeyFault::Algorithm => "algorithm",
        }
    }
}

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteFault {
    /// The note is longer than [`NOTE_BYTES_MAX`] or has more signatures than [`SIGNATURES_MAX`].
    #[error("the note has more than {NOTE_BYTES_MAX} bytes or {SIGNATURES_MAX} signatures")]
    TooLong,
    /// The note does not consist of a text, a blank line and signature lines.
    #[error("the note does not have the form of a signed note")]
    Form,
    /// The signature by a known key is wrong; contains that key.
    #[error("the signature by the key {0} is wrong")]
    Signature(String),
    /// The note has no signature by a known key.
    #[error("the note is not signed by a known key")]
    Unsigned,
}

impl NoteFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            NoteFault::TooLong => "too_long",
            NoteFault::Form => "form",
            NoteFault::Signature(_) => "signature",
            NoteFault::Unsigned => "unsigned",
        }
    }
}

/// A public key that verifies signatures. Its text form is `NAME+ID+KEY`: the id in 8 hexadecimal digits, the key in
/// base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Result<VerifierKey, KeyFault> {
        if !is_key_name(name) {
            return Err(KeyFault::Name);
        }
        Ok(VerifierKey { name: name.to_owned(), id: key_id(name, &key), key })
    }

    /// Parses the text form. Each key has only one text form.
    ///
    /// # Errors
    ///
    /// A [`KeyFault`].
    pub fn parse(text: &str) -> Result<VerifierKey, KeyFault> {
        let (name, id, bytes) = key_parts(text)?;
        // With a key of small order, signatures verify that were made without the secret key.
        let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        let key = VerifierKey::new(name, key.ok_or(KeyFault::Algorithm)?)?;
        if key.id == id { Ok(key) } else { Err(KeyFault::Id) }
    }

    /// Name of the key. The name of an engine's key is the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key: the first four bytes of the SHA-256 of name, line feed, 0x01 and public key.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, encode_key(self.key.as_bytes()))
    }
}

/// A key that signs. Only [`SignerKey::secret_text`] returns its secret half.
pub struct SignerKey {
    secret: SigningKey,
    verifier: VerifierKey,
}

impl SignerKey {
    /// Creates a key with this name from a secret seed, 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Name`] if the name is not valid.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<SignerKey, KeyFault> {
        let secret = SigningKey::from_bytes(&seed);
        let verifier = VerifierKey::new(name, secret.verifying_key())?;
        Ok(SignerKey { secret, verifier })
    }

    /// Parses the secret text form, `PRIVATE+KEY+NAME+ID+KEY`.
    ///
    /// # Errors
    ///
    /// A [`KeyFault`].
    pub fn parse(text: &str) -> Result<SignerKey, KeyFault> {
        let (name, id, seed) = key_parts(text.strip_prefix(SIGNER_PREFIX).ok_or(KeyFault::Form)?)?;
        let key = SignerKey::from_seed(name, seed)?;
        if key.verifier.id == id { Ok(key) } else { Err(KeyFault::Id) }
    }

    /// The text form with the secret half.
    pub fn secret_text(&self) -> String {
        let VerifierKey { name, id, .. } = &self.verifier;
        format!("{SIGNER_PREFIX}{name}+{id:08x}+{}", encode_key(self.secret.as_bytes()))
    }

    /// The public half, which verifies this key's signatures.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn signature_line(&self, text: &str) -> String {
        let VerifierKey { name, id, .. } = &self.verifier;
        let signature = self.secret.sign(text.as_bytes());
        let encoded = STANDARD.encode([id.to_be_bytes().as_slice(), &signature.to_bytes()].concat());
        format!("{DASH}{name} {encoded}\n")
    }
}

// Prints the public half only, so that the secret half does not get into logs.
impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}, ..)", self.verifier)
    }
}

/// Signs `text`, which must end with a line feed, with each of `keys`. Returns the signed note.
///
/// # Errors
///
/// [`NoteFault::Form`] if the text cannot be the text of a note, [`NoteFault::Unsigned`] if `keys` is empty.
pub fn sign(text: &str, keys: &[&SignerKey]) -> Result<String, NoteFault> {
    if keys.is_empty() {
        return Err(NoteFault::Unsigned);
    }
    let signatures: String = keys.iter().map(|key| key.signature_line(text)).collect();
    let note = format!("{text}\n{signatures}");
    // Checks that this engine can read the note before returning it.
    let parsed = Note::parse(note.as_bytes())?;
    if parsed.text == text { Ok(note) } else { Err(NoteFault::Form) }
}

/// A parsed note. Its text must not be trusted before [`Note::verify`] has verified the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature<'a> {
    name: &'a str,
    id: u32,
    bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Parses a note without verifying its signatures.
    ///
    /// # Errors
    ///
    /// [`NoteFault::TooLong`] or [`NoteFault::Form`].
    pub fn parse(note: &'a [u8]) -> Result<Note<'a>, NoteFault> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteFault::TooLong);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteFault::Form)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteFault::Form);
        }
        // The text may contain blank lines: the last blank line of the note is the end of the text.
        let blank = note.rfind("\n\n").ok_or(NoteFault::Form)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteFault::Form)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteFault::TooLong);
        }
        let signatures = lines.split('\n').map(|line| NoteSignature::parse(line).ok_or(NoteFault::Form));
        Ok(Note { text, signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// Verifies the signatures made by `keys`. Returns the text and those of `keys` that signed it, in the same order.
    ///
    /// # Errors
    ///
    /// [`NoteFault::Signature`] or [`NoteFault::Unsigned`].
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<(&'a str, Vec<&'k VerifierKey>), NoteFault> {
        let mut signers = Vec::new();
        for key in keys {
            let mut signed =
                self.signatures.iter().filter(|line| line.name == key.name && line.id == key.id).peekable();
            if signed.peek().is_none() {
                continue;
            }
            if !signed.all(|line| line.is_by(key, self.text)) {
                return Err(NoteFault::Signature(key.to_string()));
            }
            signers.push(key);
        }
        if signers.is_empty() { Err(NoteFault::Unsigned) } else { Ok((self.text, signers)) }
    }
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Option<NoteSignature<'a>> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        let whole = is_key_name(name) && !signature.is_empty();
        whole.then(|| NoteSignature { name, id: u32::from_be_bytes(*id), bytes: signature.to_vec() })
    }

    fn is_by(&self, key: &VerifierKey, text: &str) -> bool {
        let signature = Signature::from_slice(&self.bytes);
        signature.is_ok_and(|signature| key.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

/// Parses a note and verifies the signatures made by `keys`. Returns the note's text and the keys that signed it.
///
/// # Errors
///
/// A [`NoteFault`].
pub fn open<'a, 'k>(
    note: &'a [u8],
    keys: &'k [VerifierKey],
) -> Result<(&'a str, Vec<&'k VerifierKey>), NoteFault> {
    Note::parse(note)?.verify(keys)
}

/// Whether this is a valid name of a key. The first line of a checkpoint, its origin, must be valid in the same way.
pub(crate) fn is_key_name(name: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.len() <= KEY_NAME_BYTES_MAX && name.chars().all(plain)
}

fn key_id(name: &str, key: &VerifyingKey) -> u32 {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update(b"\n")
        .chain_update([ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    u32::from_be_bytes([a, b, c, d])
}

fn encode_key(bytes: &[u8; 32]) -> String {
    STANDARD.encode([&[ED25519], bytes.as_slice()].concat())
}

fn key_parts(text: &str) -> Result<(&str, u32, [u8; 32]), KeyFault> {
    let (name, rest) = text.split_once('+').ok_or(KeyFault::Form)?;
    let (id, key) = rest.split_once('+').ok_or(KeyFault::Form)?;
    if !is_key_name(name) {
        return Err(KeyFault::Name);
    }
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 8 || !id.bytes().all(lower_hex) {
        return Err(KeyFault::Form);
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| KeyFault::Form)?;
    let bytes = STANDARD.decode(key).map_err(|_| KeyFault::Form)?;
    let (algorithm, key) = bytes.split_first().ok_or(KeyFault::Form)?;
    let key = <[u8; 32]>::try_from(key).ok().filter(|_| *algorithm == ED25519);
    Ok((name, id, key.ok_or(KeyFault::Algorithm)?))
}

#[cfg(test)]
mod tests;
