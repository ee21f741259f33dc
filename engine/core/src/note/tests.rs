//! Test vectors from the tests of golang.org/x/mod/sumdb/note and the examples of c2sp.org.

use super::*;

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const BY_PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const BY_ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn verifier(text: &str) -> VerifierKey {
    VerifierKey::parse(text).expect("a published key")
}

fn check_refused(note: impl AsRef<[u8]>, keys: &[&str], label: &str) {
    let keys: Vec<_> = keys.iter().map(|key| verifier(key)).collect();
    assert_eq!(open(note.as_ref(), &keys).map_err(|fault| fault.label()), Err(label));
}

#[test]
fn keys_have_one_text() {
    assert_eq!(verifier(PETER).to_string(), PETER);
    assert_eq!((verifier(PETER).name(), verifier(PETER).id()), ("PeterNeumann", 0xc74f_20a3));
    let signer = SignerKey::parse(PETER_SECRET).expect("a published key");
    assert_eq!(signer.secret_text(), PETER_SECRET);
    assert_eq!(signer.verifier().to_string(), PETER);
    assert!(!format!("{signer:?}").contains("AYEKFALVFGyNhPJEMzD1QIDr"), "a secret is not printed");
}

#[test]
fn no_part_and_no_change_of_a_key_is_a_key() {
    fn check(text: &str, is_key: impl Fn(&str) -> bool) {
        assert!(is_key(text));
        for start in 0..text.len() {
            for end in (start..=text.len()).filter(|end| end - start < text.len()) {
                assert!(!is_key(&text[start..end]), "{start}..{end}");
            }
        }
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).expect("ASCII stays ASCII");
                assert!(!is_key(&changed), "{changed}");
            }
        }
    }
    check(PETER, |text| VerifierKey::parse(text).is_ok());
    check(PETER_SECRET, |text| SignerKey::parse(text).is_ok());
    let fault = |text: &str| VerifierKey::parse(text).map_err(|fault| fault.label());
    // Keys of the wrong length and of another algorithm. Their ids are correct, so that only these faults are found.
    let long = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    assert!(fault(long).is_err());
    assert_eq!(fault("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), Err("algorithm"));
    assert_eq!(fault(&PETER.replace("c74f", "C74F")), Err("form"));
    assert_eq!(fault(&PETER.replace("c74f", "c74e")), Err("id"));
    for name in ["", "a b", "a\u{2003}b", "a\nb", "a+b", &"n".repeat(KEY_NAME_BYTES_MAX + 1)] {
        assert_eq!(SignerKey::from_seed(name, [1; 32]).map(|_| ()), Err(KeyFault::Name), "{name:?}");
    }
}

#[test]
fn a_key_of_small_order_is_refused() {
    let mut point = [0; 32];
    point[0] = 1;
    let key = VerifyingKey::from_bytes(&point).expect("the neutral point is a point");
    let text = VerifierKey { name: "weak".into(), id: key_id("weak", &key), key }.to_string();
    assert_eq!(VerifierKey::parse(&text), Err(KeyFault::Algorithm));
}

#[test]
fn the_published_note_is_signed_and_opened() {
    let signer = SignerKey::parse(PETER_SECRET).expect("a published key");
    let note = sign(TEXT, &[&signer]).expect("a text");
    assert_eq!(note, format!("{TEXT}\n{BY_PETER}"));
    let both = format!("{TEXT}\n{BY_PETER}{BY_ENOCH}");
    let peter = [verifier(PETER)];
    assert_eq!(open(both.as_bytes(), &peter), Ok((TEXT, vec![&peter[0]])));
    let known = [verifier(ENOCH), verifier(PETER)];
    assert_eq!(open(both.as_bytes(), &known), Ok((TEXT, known.iter().collect())));
    let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
                — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    assert_eq!(Note::parse(poem.as_bytes()).map(|note| note.text.lines().count()), Ok(4));
}

#[test]
fn wrong_notes_are_refused() {
    check_refused(format!("{TEXT}\n{BY_PETER}"), &[], "unsigned");
    check_refused(format!("{TEXT}\n{BY_PETER}"), &[ENOCH], "unsigned");
    check_refused(format!("{TEXT}\n{}", BY_PETER.repeat(101)), &[PETER], "too_long");
    check_refused("x".repeat(NOTE_BYTES_MAX + 1), &[PETER], "too_long");
    let wrong = BY_PETER.replace("x08go/ZJ", "x08go/ZK");
    check_refused(format!("{TEXT}\n{wrong}"), &[PETER], "signature");
    check_refused(format!("{TEXT}\n{BY_PETER}{wrong}"), &[PETER], "signature");
    check_refused(format!("{TEXT}more\n\n{BY_PETER}"), &[PETER], "signature");
    check_refused(format!("{TEXT}\n{}", BY_PETER.replace("AM=", "AN=")), &[PETER], "form");
    for note in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", BY_PETER.trim_end()),
        format!("\u{1}{TEXT}\n{BY_PETER}"),
        format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Peter+Neumann")),
        format!("{TEXT}\n{BY_PETER}Unexpected line.\n"),
        format!("{TEXT}\n{BY_PETER}\n"),
        format!("{TEXT}\n{}", BY_PETER.replace('\n', "\r\n")),
        format!("{TEXT}\n{}", BY_PETER.replace('—', "-")),
        format!("{TEXT}\n— PeterNeumann x08goA\n"),
        format!("{TEXT}\n— PeterNeumann x08gow==\n"),
    ] {
        check_refused(note, &[PETER], "form");
    }
    check_refused([b"\xff", TEXT.as_bytes(), b"\n", BY_PETER.as_bytes()].concat(), &[PETER], "form");
}

#[test]
fn what_would_not_be_read_is_not_signed() {
    let signer = SignerKey::from_seed("name", [7; 32]).expect("a name");
    for text in ["", "no line feed", "a\u{7}\n", "\u{7f}no line feed"] {
        assert_eq!(sign(text, &[&signer]), Err(NoteFault::Form), "{text:?}");
    }
    assert_eq!(sign(TEXT, &[]), Err(NoteFault::Unsigned));
}

#[test]
fn no_flipped_bit_of_a_note_goes_unnoticed() {
    let note = format!("{TEXT}\n{BY_PETER}");
    let keys = [verifier(PETER)];
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(open(&bytes, &keys).is_err(), "byte {at} bit {bit}");
        }
    }
}
