//! Runs the examples of the guide unchanged against a running engine: the `sh run` and `python run` blocks of each
//! page, in order.
//!
//! A `json` block directly after such a block is its expected output. Parts that are replaced by `…` are not compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::clients::python;
use crate::process::{Running, eventually};

/// Pages that must have runnable examples.
const PAGES: [&str; 5] =
    ["items-and-graph.md", "compatibility.md", "retrieval.md", "engine.md", "forgetting.md"];

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide")
}

/// An example and its expected answer.
#[derive(Debug)]
struct Example {
    line: usize,
    language: String,
    code: String,
    answer: Option<String>,
}

fn examples(page: &str) -> Vec<Example> {
    let (mut found, mut open): (Vec<Example>, Option<Example>) = (Vec::new(), None);
    let mut behind = false;
    for (line, text) in (1..).zip(page.lines()) {
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(info)) => {
                let language = info.trim().to_owned();
                open = Some(Example { line, language, code: String::new(), answer: None });
            }
            (Some(_), Some(_)) => {
                let example = open.take().unwrap();
                if example.language == "json" && behind {
                    found.last_mut().unwrap().answer = Some(example.code);
                    behind = false;
                } else {
                    behind = example.language.ends_with(" run");
                    if behind {
                        found.push(example);
                    }
                }
            }
            (Some(example), None) => {
                example.code.push_str(text);
                example.code.push('\n');
            }
            (None, None) => behind &= text.trim().is_empty(),
        }
    }
    found
}

/// Replaces the engine's address on the page with the address of the running engine.
fn here(code: &str, engine: &Running) -> String {
    let address = engine.api.to_string();
    code.replace("notes.NAMESPACE.svc:8080", &address).replace("localhost:8080", &address)
}

fn run(example: &Example, engine: &Running) -> Output {
    let code = here(&example.code, engine);
    match example.language.as_str() {
        // A refused request fails the example.
        "sh run" => {
            let script =
                format!("curl() {{ command curl --silent --show-error --fail-with-body \"$@\"; }}\n{code}");
            Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().unwrap()
        }
        "python run" => {
            let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
            // The code runs as in a notebook: top-level `await` is permitted, and the last value is printed.
            let notebook = "import ast, asyncio, inspect, json, sys\n\
                tree = ast.parse(sys.argv[1])\n\
                last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None\n\
                flags, names = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, {}\n\
                async def run(code):\n\
                \u{20}   value = eval(code, names)\n\
                \u{20}   return await value if inspect.iscoroutine(value) else value\n\
                async def main():\n\
                \u{20}   await run(compile(tree, 'example', 'exec', flags=flags))\n\
                \u{20}   if last: print(json.dumps(await run(compile(ast.Expression(last.value), 'example', 'eval', flags=flags))))\n\
                asyncio.run(main())\n";
            Command::new(python())
                .args(["-c", notebook, &code])
                .env("PYTHONPATH", examples)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .output()
                .unwrap()
        }
        other => panic!("nothing runs {other:?}"),
    }
}

/// Whether a response matches the page, except for the parts that the page leaves out.
fn is_as_told(told: &Value, found: &Value) -> bool {
    match (told, found) {
        (Value::String(told), _) if told == "…" => true,
        (Value::Object(told), Value::Object(found)) => {
            told.iter().all(|(name, told)| found.get(name).is_some_and(|found| is_as_told(told, found)))
        }
        (Value::Array(told), Value::Array(found)) => {
            let open = told.last().is_some_and(|last| last == "…");
            let told = &told[..told.len() - usize::from(open)];
            (open || told.len() == found.len())
                && told.len() <= found.len()
                && told.iter().zip(found).all(|(told, found)| is_as_told(told, found))
        }
        (told, found) => told == found,
    }
}

fn check(page: &str, text: &str, engine: &Running) -> usize {
    let mut count = 0;
    for example in examples(text) {
        let place = format!("{page}, line {}", example.line);
        let output = run(&example, engine);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{place}: {said}{}", String::from_utf8_lossy(&output.stderr));
        if let Some(told) = &example.answer {
            let told: Value = serde_json::from_str(told).unwrap_or_else(|fault| panic!("{place}: {fault}"));
            // If an example sends several requests, the page shows the last response.
            let answers = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
            let last = answers.last().unwrap_or_else(|| panic!("{place}: it said nothing"));
            let found = last.unwrap_or_else(|fault| panic!("{place}: {fault}: {said}"));
            assert!(is_as_told(&told, &found), "{place}: it says {found}");
        }
        count += 1;
    }
    count
}

#[test]
fn every_example_of_the_guide_runs() {
    let mut pages: Vec<PathBuf> = fs::read_dir(guide()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut with_examples = Vec::new();
    for path in pages {
        let (name, text) =
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap());
        if examples(&text).is_empty() {
            continue;
        }
        let data = tempfile::tempdir().unwrap();
        let engine = Running::start(data.path());
        eventually("ready", || engine.admin("/readyz").status == 200);
        assert!(check(&name, &text, &engine) > 0);
        with_examples.push(name);
    }
    for page in PAGES {
        assert!(with_examples.iter().any(|name| name == page), "{page} has no example that runs");
    }
}

/// Examples that are never run become outdated, so every runnable block must be marked as such.
#[test]
fn every_example_that_can_run_does() {
    for entry in fs::read_dir(guide()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut inside = None;
        for (line, text) in (1..).zip(text.lines()) {
            match (inside, text.strip_prefix("```")) {
                (None, Some(info)) => inside = Some(info.trim().to_owned()),
                (Some(_), Some(_)) => inside = None,
                (Some(info), None) => {
                    let is_request = text.trim_start().starts_with("curl") && text.contains("localhost:8080");
                    let is_python = info == "python";
                    assert!(
                        info.ends_with(" run") || !(is_request || is_python),
                        "{path:?}, line {line}: mark it as `sh run` or `python run`"
                    );
                    inside = Some(info);
                }
                (None, None) => inside = None,
            }
        }
    }
}

#[test]
fn an_example_that_is_wrong_is_noticed() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let fails = |text: &str| {
        let checked = std::panic::AssertUnwindSafe(|| check("page", text, &engine));
        std::panic::catch_unwind(checked).is_err()
    };
    assert!(!fails("```sh run\ncurl localhost:8080/v1/log/head\n```\n\n```json\n{\"seq\": 0}\n```\n"));
    assert!(fails("```sh run\ncurl localhost:8080/v1/log/head\n```\n\n```json\n{\"seq\": 7}\n```\n"));
    assert!(fails("```sh run\ncurl localhost:8080/v1/nothing\n```\n"));
    assert!(fails("```python run\nraise ValueError\n```\n"));
    assert!(!fails("```python run\nx = 1\n{'a': [x, 2]}\n```\n```json\n{\"a\": [1, \"…\"]}\n```\n"));
}
