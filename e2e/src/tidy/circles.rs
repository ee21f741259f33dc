//! Finds import cycles between the files of a crate.
//!
//! An import through `mod.rs` or `lib.rs` counts as an import of the file that defines the name, so a module that only
//! lists and re-exports its children is in no cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::{CRATES, Source, assert_none, source, sources};

/// A path in a `use` declaration, or the path of a module below the crate.
type Path = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    /// Names that the module re-exports, and their paths as written.
    exports: BTreeMap<String, Path>,
    imports: Vec<Path>,
}

type Modules = BTreeMap<Path, Module>;

fn path(text: &str) -> Path {
    text.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Returns the module of a file below `src`; `None` for tests.
fn module_of(file: &str) -> Option<Path> {
    let stem = file.strip_suffix(".rs")?;
    let parts: Vec<&str> = stem.split('/').collect();
    let (last, parents) = parts.split_last()?;
    if *last == "tests" || last.ends_with("_test") || parents.contains(&"tests") {
        return None;
    }
    let own = if ["lib", "main", "mod"].contains(last) { None } else { Some(*last) };
    Some(parents.iter().copied().chain(own).map(str::to_owned).collect())
}

/// Returns the source without comments and without tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Adds all paths of the `use` tree `tree`, each with `prefix` before it, to `found`.
fn flatten(prefix: &[String], tree: &str, found: &mut Vec<Path>) {
    let tree = tree.trim();
    let Some((head, body)) = tree.split_once('{') else {
        let plain = tree.split(" as ").next().unwrap_or_default();
        let mut whole = [prefix, &path(plain)].concat();
        if whole.last().is_some_and(|last| last == "self") {
            whole.pop();
        }
        found.push(whole);
        return;
    };
    let prefix = [prefix, &path(head)].concat();
    let body = body.strip_suffix('}').unwrap_or(body);
    let (mut depth, mut start) = (0_i32, 0);
    for (at, letter) in body.char_indices().chain([(body.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[start..at].trim().is_empty() {
                    flatten(&prefix, &body[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Splits a source into its `use` declarations, each with whether it is public, and the text without them.
fn declarations(text: &str) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut rest, mut open) = (Vec::new(), String::new(), None::<(bool, String)>);
    for line in text.lines() {
        let trimmed = line.trim_start();
        let (public, after) = match trimmed.strip_prefix("pub") {
            Some(after) if after.starts_with(' ') => (true, after.trim_start()),
            Some(after) if after.starts_with('(') => {
                (true, after.split_once(')').map_or("", |(_, it)| it.trim_start()))
            }
            _ => (false, trimmed),
        };
        if let Some((_, tree)) = &mut open {
            tree.push_str(line);
        } else if let Some(tree) = after.strip_prefix("use ") {
            open = Some((public, tree.to_owned()));
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
        if let Some((public, tree)) = open.take_if(|(_, tree)| tree.trim_end().ends_with(';')) {
            uses.push((public, tree.trim_end().trim_end_matches(';').to_owned()));
        }
    }
    (uses, rest)
}

/// Returns the paths outside of `use` declarations that begin with `crate`, `super` or `self`.
fn inline_paths(text: &str) -> Vec<Path> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = text.split(|letter: char| !is_part(letter));
    let own =
        words.filter(|word| ["crate::", "super::", "self::"].iter().any(|start| word.starts_with(start)));
    own.map(path).collect()
}

fn modules(files: &[(String, String)]) -> Modules {
    let mut modules = Modules::new();
    for (file, text) in files {
        let Some(name) = module_of(file) else { continue };
        let (uses, rest) = declarations(&code(text));
        let mut module = Module { file: file.clone(), ..Module::default() };
        for (public, tree) in uses {
            let mut paths = Vec::new();
            flatten(&[], &tree, &mut paths);
            for found in paths {
                match found.last() {
                    Some(last) if public => drop(module.exports.insert(last.clone(), found)),
                    _ => module.imports.push(found),
                }
            }
        }
        module.imports.extend(inline_paths(&rest));
        modules.insert(name, module);
    }
    modules
}

/// Returns the module that defines the item which the path `named` means in the module `from`; `None` for other crates.
fn resolve(modules: &Modules, from: &[String], named: &[String], depth: usize) -> Option<Path> {
    let mut at = from.to_vec();
    let mut rest = named;
    match rest.first()?.as_str() {
        "crate" => (at, rest) = (Path::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        first if modules.contains_key(&[from, &[first.to_owned()]].concat()) => {}
        _ => return None,
    }
    while let Some(next) = rest.first()
        && modules.contains_key(&[at.as_slice(), std::slice::from_ref(next)].concat())
    {
        at.push(next.clone());
        rest = &rest[1..];
    }
    let exported = rest.first().and_then(|name| modules.get(&at)?.exports.get(name));
    match exported {
        Some(target) if depth > 0 => resolve(modules, &at, target, depth - 1),
        _ => modules.contains_key(&at).then_some(at),
    }
}

/// Maximum depth of nested re-exports that are followed.
const HOPS_MAX: usize = 8;

fn arrows(modules: &Modules) -> BTreeMap<&Path, BTreeSet<Path>> {
    let targets = |from: &Path, module: &Module| {
        let found = module.imports.iter().filter_map(|import| resolve(modules, from, import, HOPS_MAX));
        found.filter(|target| target != from).collect()
    };
    modules.iter().map(|(from, module)| (from, targets(from, module))).collect()
}

/// Returns all modules that can be reached from `from` along `arrows`.
fn reachable<'a>(arrows: &'a BTreeMap<&Path, BTreeSet<Path>>, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(next) = open.pop() {
        for target in arrows.get(next).into_iter().flatten() {
            if seen.insert(target) {
                open.push(target);
            }
        }
    }
    seen
}

fn circles(krate: &str, files: &[Source]) -> Vec<String> {
    let modules = modules(files);
    let arrows = arrows(&modules);
    let in_circle = |from: &&Path| reachable(&arrows, from).contains(*from);
    let mut faults = Vec::new();
    for from in modules.keys().filter(in_circle) {
        for target in &arrows[from] {
            if reachable(&arrows, target).contains(from) {
                let (file, other) = (&modules[from].file, &modules[target].file);
                faults.push(format!(
                    "{krate}/src/{file} and {other} import each other, directly or through others"
                ));
            }
        }
    }
    faults
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let all = sources(".rs");
    for (krate, ..) in CRATES {
        let folder = format!("{krate}/src/");
        let own: Vec<Source> = all
            .iter()
            .filter_map(|(file, text)| Some((file.strip_prefix(&folder)?.to_owned(), text.clone())))
            .collect();
        assert!(!own.is_empty(), "{krate} has no source");
        assert_none(&circles(krate, &own));
    }
}

#[test]
fn a_circle_is_seen_through_a_re_export() {
    let lib = source("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::{B, helper as other};\n");
    let (a, b) = (source("a.rs", "use crate::B;\npub struct A(B);\n"), source("b.rs", "pub struct B;\n"));
    assert_none(&circles("x", &[lib.clone(), a.clone(), b]));
    let back = source(
        "b.rs",
        "pub fn b() -> super::a::A { todo() }\n#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n",
    );
    assert_eq!(circles("x", &[lib.clone(), a.clone(), back]).len(), 2);
    let tested =
        source("b.rs", "// use crate::A;\npub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n");
    assert_none(&circles("x", &[lib, a, tested]));
}
