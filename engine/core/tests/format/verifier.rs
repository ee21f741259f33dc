//! Runs the Python programs in docs/FORMAT.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine_core::format::segment_file_name;

use crate::fixtures::fixtures;
use crate::log::{Log, lines, long_sample, sample};
use crate::segments::audit;
use crate::tampering::Segments;
use crate::vectors::vectors;

/// One of the programs, with its own temporary directory.
struct Program {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl Program {
    fn new(number: usize) -> Program {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/FORMAT.md");
        let document = fs::read_to_string(document).expect("the document is in the repository");
        let start = document.split("```python\n").nth(number).expect("the document has the program");
        let (program, _) = start.split_once("```").expect("which ends");
        assert!(program.lines().count() <= 60, "the program must stay short");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.py");
        fs::write(&path, program).unwrap();
        fs::create_dir(directory.path().join("log")).unwrap();
        Program { directory, path }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn run(&self, arguments: &[&Path]) -> (bool, String) {
        let ran = Command::new("python3").arg(&self.path).args(arguments).output().expect("python3 exists");
        let said = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Whether the first program accepts these segments, and its output.
    fn accepts(&self, segments: &[(u64, Vec<u8>)]) -> (bool, String) {
        fs::remove_dir_all(self.log()).unwrap();
        fs::create_dir(self.log()).unwrap();
        for (first_seq, bytes) in segments {
            fs::write(self.log().join(segment_file_name(*first_seq)), bytes).unwrap();
        }
        let (accepted, said) = self.run(&[&self.log()]);
        assert!(!said.contains("Traceback"), "the verifier itself failed: {said}");
        (accepted, said)
    }
}

#[test]
fn an_independent_verifier_agrees() {
    let verifier = Program::new(1);
    let log = sample();
    let one = |bytes: &[u8]| verifier.accepts(&[(1, bytes.to_vec())]);
    let (accepted, said) = one(&log.bytes);
    let expected = format!("7 events, last hash {}, 0 unfinished", log.link.hash);
    assert!(accepted && said.contains(&expected), "{said}");
    let (accepted, said) = one(&log.bytes[..log.bytes.len() - 9]);
    assert!(accepted && said.starts_with("6 events"), "{said}");
    for (i, line) in lines(&log.bytes).iter().enumerate() {
        let offset: usize = lines(&log.bytes)[..i].iter().map(|line| line.len()).sum();
        for part in [line.len() / 8, line.len() / 2, line.len() - 4] {
            let mut bytes = log.bytes.clone();
            bytes[offset + part] ^= 1;
            let (accepted, said) = one(&bytes);
            assert!(!accepted, "byte {} went unnoticed: {said}", offset + part);
        }
    }
}

#[test]
fn an_independent_verifier_agrees_on_several_segments() {
    let verifier = Program::new(1);
    let log = long_sample();
    let (accepted, said) = verifier.accepts(&log.segments());
    assert!(accepted && said.contains(&format!("13 events, last hash {}", log.link.hash)), "{said}");
    let mut changed = vec![log.clone().forget(3, 9).segments(), log.clone().forget(1, 8).segments()];
    let mut change = |edit: &dyn Fn(&mut Segments)| {
        let mut segments = log.segments();
        edit(&mut segments);
        changed.push(segments);
    };
    change(&|all| drop(all.remove(0)));
    change(&|all| drop(all.remove(1)));
    change(&|all| all[1].0 = 9);
    let cut = |bytes: &mut Vec<u8>, count: usize| bytes.truncate(bytes.len() - count);
    change(&|all| cut(&mut all[1].1, 5));
    let seal = lines(&log.sealed[1].1).last().unwrap().len();
    change(&|all| cut(&mut all[1].1, seal));
    change(&|all| all[1].1.extend(b"more\n"));
    change(&|all| all[1].1.extend(b"more"));
    change(&|all| all[0].1[30] ^= 1);
    for segments in changed {
        let (accepted, said) = verifier.accepts(&segments);
        assert!(!accepted && audit(&segments).breaches.count > 0, "{said}");
    }
}

#[test]
fn an_independent_verifier_agrees_on_every_vector() {
    let verifier = Program::new(1);
    let header = Log::new().bytes;
    for vector in vectors() {
        let line = format!("{}\n", vector.line).into_bytes();
        let segment = match () {
            () if vector.line.starts_with("{\"header\"") => line,
            () if vector.line.starts_with("{\"seal\"") => [Log::new().group(&[&["{}"]]).bytes, line].concat(),
            () => [header.clone(), line].concat(),
        };
        // In a log on its own, no event explains the missing payload.
        let right = vector.verdict == "ok" && !vector.line.contains("\"forgotten\"");
        let (accepted, said) = verifier.accepts(&[(1, segment)]);
        assert_eq!(accepted, right, "{}: {said}", vector.what);
    }
}

#[test]
fn an_independent_program_reads_compressed_segments() {
    let verifier = Program::new(1);
    let log = long_sample();
    verifier.accepts(&log.segments());
    let name = segment_file_name(1);
    fs::remove_file(verifier.log().join(&name)).unwrap();
    let file = name + ".zst";
    fs::copy(fixtures().join("segments/compressed").join(&file), verifier.log().join(&file)).unwrap();
    let (accepted, said) = verifier.run(&[&verifier.log()]);
    assert!(accepted && said.contains(&format!("13 events, last hash {}", log.link.hash)), "{said}");
}

#[test]
fn an_independent_program_checks_roots_and_proofs() {
    let prover = Program::new(2);
    let log = fixtures().join("segments/log");
    let proofs = ["inclusion.json", "consistency.json"].map(|name| fixtures().join("segments").join(name));
    let (accepted, said) = prover.run(&[&log, &proofs[0], &proofs[1]]);
    assert!(accepted && said.contains(&long_sample().tree.root().to_string()), "{said}");
    for path in proofs {
        let text = fs::read_to_string(&path).unwrap();
        let list = "\"proof\": [\n";
        let at = text.find(list).unwrap() + list.len();
        let digit = at + text[at..].find('"').unwrap() + 1;
        let other = if &text[digit..=digit] == "0" { "1" } else { "0" };
        let changed = format!("{}{other}{}", &text[..digit], &text[digit + 1..]);
        let wrong = prover.directory.path().join("wrong.json");
        fs::write(&wrong, changed).unwrap();
        let (accepted, said) = prover.run(&[&log, &wrong]);
        assert!(!accepted && said.contains("not proved"), "{said}");
    }
}

#[test]
fn an_independent_program_checks_signatures() {
    let checker = Program::new(3);
    let (note, key) = (fixtures().join("segments/log/checkpoint"), fixtures().join("segments/key"));
    let (accepted, said) = checker.run(&[&note, &key]);
    let expected = format!("13 events, root {}", long_sample().tree.root());
    assert!(accepted && said.contains(&expected), "{said}");
    let text = fs::read_to_string(&note).unwrap();
    for changed in [text.replacen("13", "12", 1), text.replacen("position 10", "position 11", 1)] {
        let wrong = checker.directory.path().join("wrong");
        fs::write(&wrong, changed).unwrap();
        assert!(!checker.run(&[&wrong, &key]).0);
    }
}
