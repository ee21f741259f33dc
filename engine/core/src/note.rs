//! Signed notes as in c2sp.org/signed-note: a text, a blank line, and lines of signatures over the text.
//!
//! Only Ed25519 signatures are made and checked. Signatures by keys that are not known are ignored, a wrong one by a
//! known key refuses the note.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Longest note that is read, bytes: sixteen signatures of any kind in use today fit.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// Most signatures of a note that is read.
pub const SIGNATURES_MAX: usize = 100;
/// Longest name of a key, bytes.
pub const KEY_NAME_BYTES_MAX: usize = 256;

/// First byte of the encoded keys, and part of what their id is made of.
const ED25519: u8 = 1;
const SIGNER_PREFIX: &str = "PRIVATE+KEY+";
const DASH: &str = "\u{2014} ";

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// Not `NAME+ID+KEY`.
    #[error("a key has the form NAME+ID+KEY")]
    Form,
    /// Empty, too long, with a space, a plus sign or a control character.
    #[error(
        "the name of a key must not be empty or too long, or contain spaces, control characters or plus signs"
    )]
    Name,
    /// The id does not belong to the name and the key.
    #[error("the id of the key does not match its name and its bytes")]
    Id,
    /// Not an Ed25519 key.
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
    /// Longer than [`NOTE_BYTES_MAX`] or with more signatures than [`SIGNATURES_MAX`].
    #[error("the note has more than {NOTE_BYTES_MAX} bytes or {SIGNATURES_MAX} signatures")]
    TooLong,
    /// Not a text, a blank line and lines of signatures.
    #[error("the note does not have the form of a signed note")]
    Form,
    /// A known key has not signed this text.
    #[error("the signature by the key {0} is wrong")]
    Signature(String),
    /// No known key signed.
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

/// A key that checks signatures. Its text is `NAME+ID+KEY`: the id in 8 hexadecimal digits, the key in base64.
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

    /// Reads the text form; there is one for each key.
    ///
    /// # Errors
    ///
    /// A [`KeyFault`].
    pub fn parse(text: &str) -> Result<VerifierKey, KeyFault> {
        let (name, id, bytes) = key_parts(text)?;
        // A key of small order would accept signatures nobody made.
        let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        let key = VerifierKey::new(name, key.ok_or(KeyFault::Algorithm)?)?;
        if key.id == id { Ok(key) } else { Err(KeyFault::Id) }
    }

    /// Its name; of an engine's keys, the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id: the first four bytes of the SHA-256 of name, line feed, 0x01 and public key.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, encode_key(self.key.as_bytes()))
    }
}

/// A key that signs. Its secret half is shown by [`SignerKey::secret_text`] alone.
pub struct SignerKey {
    secret: SigningKey,
    verifier: VerifierKey,
}

impl SignerKey {
    /// The key with this secret seed, 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Name`].
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<SignerKey, KeyFault> {
        let secret = SigningKey::from_bytes(&seed);
        let verifier = VerifierKey::new(name, secret.verifying_key())?;
        Ok(SignerKey { secret, verifier })
    }

    /// Reads the text form, `PRIVATE+KEY+NAME+ID+KEY`.
    ///
    /// # Errors
    ///
    /// A [`KeyFault`].
    pub fn parse(text: &str) -> Result<SignerKey, KeyFault> {
        let (name, id, seed) = key_parts(text.strip_prefix(SIGNER_PREFIX).ok_or(KeyFault::Form)?)?;
        let key = SignerKey::from_seed(name, seed)?;
        if key.verifier.id == id { Ok(key) } else { Err(KeyFault::Id) }
    }

    /// The text form, which is secret.
    pub fn secret_text(&self) -> String {
        let VerifierKey { name, id, .. } = &self.verifier;
        format!("{SIGNER_PREFIX}{name}+{id:08x}+{}", encode_key(self.secret.as_bytes()))
    }

    /// The public half.
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

// The secret half is never printed by accident.
impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}, ..)", self.verifier)
    }
}

/// Signs a text, which ends with a line feed, with each of these keys.
///
/// # Errors
///
/// [`NoteFault::Form`] when the text cannot be that of a note, [`NoteFault::Unsigned`] without a key.
pub fn sign(text: &str, keys: &[&SignerKey]) -> Result<String, NoteFault> {
    if keys.is_empty() {
        return Err(NoteFault::Unsigned);
    }
    let signatures: String = keys.iter().map(|key| key.signature_line(text)).collect();
    let note = format!("{text}\n{signatures}");
    // What this engine would not read it does not write either.
    let parsed = Note::parse(note.as_bytes())?;
    if parsed.text == text { Ok(note) } else { Err(NoteFault::Form) }
}

/// A note, taken apart and not yet checked: its text says nothing before [`Note::verify`].
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
    /// Takes a note apart.
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
        // The text may hold blank lines of its own: the last one ends it.
        let blank = note.rfind("\n\n").ok_or(NoteFault::Form)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteFault::Form)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteFault::TooLong);
        }
        let signatures = lines.split('\n').map(|line| NoteSignature::parse(line).ok_or(NoteFault::Form));
        Ok(Note { text, signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// Verifies the signatures made by `keys`. Returns the text and the keys that signed it, in the order of `keys`.
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

/// Parses and verifies a note. Returns its text and the keys that signed it.
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

/// Whether a key may have this name; the first line of a checkpoint has the same form.
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
