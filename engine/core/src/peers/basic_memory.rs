//! Reads notes of basic-memory (PyPI `basic-memory`): Markdown files with front matter, observations (`- [category]
//! words`) and relations (`- type [[Other note]]`), or the corresponding rows of its database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Record, Refused, Step};
use crate::limits::{BODY_BYTES_MAX, SOURCE_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX, TITLE_CHARS_MAX};
use crate::wire::Document;

const PRODUCT: &str = "basic-memory";
/// Relation type of a plain link in the text.
const LINK: &str = "links_to";
/// Type of a note whose front matter has none.
const KIND_DEFAULT: &str = "note";

/// A parsed note.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// Path relative to the folder of notes, with forward slashes.
    pub path: String,
    /// Title, by which other notes link to it.
    pub title: String,
    /// Permalink, by which other notes may also link to it.
    pub permalink: Option<String>,
    /// Note type.
    pub kind: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Creation time, as the note gives it.
    pub created: Option<String>,
    /// Full text of the note; absent if only database rows are available.
    pub content: Option<String>,
    /// Observations as written, with category and context.
    pub observations: Vec<String>,
    /// Links to other notes.
    pub relations: Vec<Link>,
}

/// A relation of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Title, path or permalink of the other note.
    pub target: String,
    /// Type of the relation.
    pub kind: String,
    /// Text in parentheses after the link.
    pub context: Option<String>,
}

/// Parses a file.
pub fn note(path: &str, bytes: &[u8]) -> Result<Note, Refused> {
    if bytes.len() > BODY_BYTES_MAX / 2 {
        return Err(Refused::TooLong { what: "the note", max: format!("{} bytes", BODY_BYTES_MAX / 2) });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotA("text in UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (head, body) = front_matter(&text);
    let fields = Fields::read(head);
    let stem = path.rsplit('/').next().unwrap_or(path);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let mut note = Note {
        path: path.to_owned(),
        title: fields.one("title").unwrap_or_else(|| stem.to_owned()),
        permalink: fields.one("permalink"),
        kind: fields.one("type").unwrap_or_else(|| KIND_DEFAULT.to_owned()),
        tags: fields.all("tags"),
        created: fields.one("created"),
        content: Some(text.clone()),
        ..Note::default()
    };
    if fields.one("bm_parse_semantics").is_none_or(|said| !said.eq_ignore_ascii_case("false")) {
        for inline in inlines(body) {
            note.take(&inline);
        }
    }
    Ok(note)
}

impl Note {
    /// Adds the observations and relations in one block of text to the note, by the rules of basic-memory.
    fn take(&mut self, inline: &Inline) {
        let link = |target| Link { target, kind: LINK.to_owned(), context: None };
        let paths = inline.paths.iter().filter_map(|path| beside(&self.path, path)).map(link);
        let paths: Vec<Link> = paths.collect();
        self.relations.extend(paths);
        let text = inline.text.trim();
        let words = text.strip_suffix("#bm:links_to").map_or(text, str::trim_end);
        if !inline.quoted && is_observation(words) {
            self.observations.push(words.to_owned());
        }
        if !inline.unlinked.contains("[[") {
            return;
        }
        let explicit =
            (inline.in_item && words == text).then(|| explicit_relation(&inline.unlinked)).flatten();
        match explicit {
            Some(link) => self.relations.push(link),
            None => {
                self.relations.extend(wiki_links(&inline.unlinked).into_iter().map(link));
            }
        }
    }
}

/// Entity names of notes. Notes with the same title get different names. A link by title, path or permalink is resolved
/// to the name of the note that it leads to.
#[derive(Debug, Clone, Default)]
pub struct Names {
    titles: BTreeSet<String>,
    by_path: BTreeMap<String, String>,
    by_link: BTreeMap<String, String>,
}

impl Names {
    /// Gives a note its name. All notes must be added before links are resolved.
    pub fn add(&mut self, note: &Note) {
        let mut name = note.title.clone();
        if !self.titles.insert(name.clone()) {
            name = format!("{} ({})", note.title, note.path);
            self.titles.insert(name.clone());
        }
        let without_ending = note.path.rsplit_once('.').map_or(note.path.as_str(), |(stem, _)| stem);
        let links =
            [Some(note.title.as_str()), note.permalink.as_deref(), Some(&note.path), Some(without_ending)];
        for link in links.into_iter().flatten() {
            self.by_link.entry(link.to_lowercase()).or_insert_with(|| name.clone());
        }
        self.by_path.insert(note.path.clone(), name);
    }

    fn own<'a>(&'a self, note: &'a Note) -> &'a str {
        self.by_path.get(&note.path).unwrap_or(&note.title)
    }

    fn of<'a>(&'a self, link: &'a str) -> &'a str {
        self.by_link.get(&link.to_lowercase()).map_or(link, String::as_str)
    }
}

/// Converts a note to import steps: a document, an entity with its observations, and relations. `names` contains the
/// names of all notes.
pub fn record(note: &Note, names: &Names) -> Record {
    let mut record = Record::default();
    let name = names.own(note).to_owned();
    if name != note.title {
        record.changed.push("title");
    }
    let created = record.time(note.created.as_deref());
    if note.content.as_ref().is_some_and(|content| !content.trim().is_empty()) {
        document(note, created, &mut record);
    }
    if !record.entity(PRODUCT, &name, &note.kind) {
        return record;
    }
    let mut seen = BTreeSet::new();
    for observation in &note.observations {
        let words = observation.split_whitespace().collect::<Vec<_>>().join(" ");
        if seen.insert(words.clone()) {
            record.observation(&name, &words);
        }
    }
    let mut seen = BTreeSet::new();
    for link in &note.relations {
        let target = names.of(&link.target).to_owned();
        if !seen.insert((target.clone(), link.kind.clone())) {
            continue;
        }
        record.relation(PRODUCT, (&name, &target), &link.kind);
        // Relations in the engine have no context, so the context is imported as an observation.
        if let Some(context) = &link.context {
            record.changed.push("context");
            record.observation(&name, &format!("{} [[{target}]] ({context})", link.kind));
        }
    }
    record
}

fn document(note: &Note, created: Option<Timestamp>, record: &mut Record) {
    let source = format!("{PRODUCT}/{}", note.path);
    if source.chars().count() > SOURCE_CHARS_MAX {
        let max = format!("{SOURCE_CHARS_MAX} characters");
        record.refused.push(Refused::TooLong { what: "the path of the note", max });
        return;
    }
    let mut tags: Vec<String> = note.tags.iter().map(|tag| tag.trim_start_matches('#').to_owned()).collect();
    let all = tags.len();
    tags.retain(|tag| super::is_name(tag, TAG_CHARS_MAX));
    tags.truncate(TAGS_MAX);
    if tags.len() < all {
        record.changed.push("tags");
    }
    let title = Some(&note.title).filter(|title| super::is_name(title, TITLE_CHARS_MAX)).cloned();
    let document = Document {
        source,
        content: note.content.clone().unwrap_or_default(),
        title,
        kind: None,
        tags,
        occurred_at: created,
    };
    record.steps.push(Step::Document(Box::new(document)));
}

/// Splits a text into its front matter, including the `---` lines, and the text after it.
fn front_matter(text: &str) -> (&str, &str) {
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut events = Parser::new_ext(text, options).into_offset_iter();
    match events.next() {
        Some((Event::Start(Tag::MetadataBlock(_)), range)) if range.start == 0 => text.split_at(range.end),
        _ => ("", text),
    }
}

/// The supported part of front matter: `name: value`, `name: [a, b]`, and lists with one item per line.
#[derive(Debug, Default)]
struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    fn read(head: &str) -> Fields {
        let mut fields = Fields::default();
        let mut last: Option<String> = None;
        for line in
            head.lines().filter(|line| !line.starts_with("---") && !line.trim_start().starts_with('#'))
        {
            let item = line.trim_start().strip_prefix("- ").map(unquoted);
            if let (Some(item), Some(name)) = (item, &last) {
                fields.0.entry(name.clone()).or_default().push(item);
            } else if let Some((name, value)) =
                line.split_once(':').filter(|(name, _)| !name.starts_with([' ', '-']))
            {
                let value = value.trim();
                let values = match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                    Some(list) => list.split(',').map(unquoted).collect(),
                    None if value.is_empty() => Vec::new(),
                    None => vec![unquoted(value)],
                };
                fields.0.insert(name.trim().to_owned(), values);
                last = Some(name.trim().to_owned());
            }
        }
        fields
    }

    fn one(&self, name: &str) -> Option<String> {
        let values = self.0.get(name)?;
        Some(values.join(", ")).filter(|value| !value.trim().is_empty() && value != "null")
    }

    /// A list. A comma-separated value counts as a list too.
    fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.get(name).into_iter().flatten();
        let words = values.flat_map(|value| value.split(',')).map(|word| word.trim().to_owned());
        words.filter(|word| !word.is_empty()).collect()
    }
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let within = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    let value = within('"').or_else(|| within('\'')).unwrap_or(value);
    value.replace("\\\"", "\"").replace("''", "'")
}

/// Text of one block without markup, such as a paragraph or a list item.
#[derive(Debug, Default)]
struct Inline {
    text: String,
    /// The same text, in which brackets in inline code are replaced, so that they are not taken for links.
    unlinked: String,
    /// Targets of the links in the block.
    paths: Vec<String>,
    in_item: bool,
    quoted: bool,
}

fn inlines(body: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    let (mut open, mut code): (Option<Range<usize>>, Vec<Range<usize>>) = (None, Vec::new());
    let mut paths = Vec::new();
    let (mut items, mut quotes, mut verbatim) = (0_usize, 0_usize, false);
    for (event, range) in Parser::new_ext(body, Options::ENABLE_STRIKETHROUGH).into_offset_iter() {
        if let Some(is_start) = block(&event) {
            if let Some(range) = open.take() {
                let text = body[range.clone()].to_owned();
                let unlinked = without_code(body, range, &code);
                let paths = std::mem::take(&mut paths);
                found.push(Inline { text, unlinked, paths, in_item: items > 0, quoted: quotes > 0 });
            }
            code.clear();
            let step = |count: usize| if is_start { count + 1 } else { count.saturating_sub(1) };
            match event {
                Event::Start(Tag::Item) | Event::End(TagEnd::Item) => items = step(items),
                Event::Start(Tag::BlockQuote(_)) | Event::End(TagEnd::BlockQuote(_)) => quotes = step(quotes),
                Event::Start(Tag::CodeBlock(_) | Tag::HtmlBlock) => verbatim = true,
                Event::End(TagEnd::CodeBlock | TagEnd::HtmlBlock) => verbatim = false,
                _ => {}
            }
        } else if !verbatim {
            match &event {
                Event::Code(_) => code.push(range.clone()),
                Event::Start(Tag::Link { dest_url, .. }) => paths.push(dest_url.to_string()),
                _ => {}
            }
            open =
                Some(open.map_or(range.clone(), |open| open.start.min(range.start)..open.end.max(range.end)));
        }
    }
    found
}

/// Whether an event starts (`true`) or ends (`false`) a block; None for inline events.
fn block(event: &Event<'_>) -> Option<bool> {
    match event {
        Event::Start(
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. },
        ) => None,
        Event::End(
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image,
        ) => None,
        Event::Start(_) => Some(true),
        Event::End(_) | Event::Rule => Some(false),
        _ => None,
    }
}

fn without_code(body: &str, range: Range<usize>, code: &[Range<usize>]) -> String {
    let is_code = |place: usize| code.iter().any(|span| span.contains(&place));
    let each = body[range.clone()].char_indices().map(|(at, character)| {
        if matches!(character, '[' | ']') && is_code(range.start + at) { ' ' } else { character }
    });
    each.collect()
}

/// Whether a text is an observation: text after a category in square brackets, or text with a hash tag.
fn is_observation(text: &str) -> bool {
    let task = ["[ ]", "[x]", "[-]"].iter().any(|task| text.starts_with(task));
    let link = text.starts_with("[[") && text.ends_with("]]")
        || text.starts_with('[') && text.ends_with(')') && text.contains("](");
    if text.is_empty() || task || link {
        return false;
    }
    has_category(text) || text.split_whitespace().any(|word| word.starts_with('#'))
}

fn has_category(text: &str) -> bool {
    let Some((category, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let category = category.trim();
    let mut characters = category.chars();
    let one = characters.next().filter(|_| characters.next().is_none());
    let mark = one.is_some_and(|one| matches!(one, 'x' | 'X') || !one.is_alphanumeric());
    let clock = category.contains(':')
        && category.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | ',' | ' ' | '-'));
    let said = rest.starts_with(char::is_whitespace) && !rest.trim().is_empty();
    !category.is_empty() && !category.contains(['[', '(', ')']) && !mark && !clock && said
}

/// Parses a text that consists only of `type [[Other note]] (context)`. A type of several words is quoted.
fn explicit_relation(text: &str) -> Option<Link> {
    let (before, rest) = text.trim().split_once("[[")?;
    let (target, after) = rest.split_once("]]")?;
    let before = before.trim();
    let within = |mark: char| before.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    let kind = match within('"').or_else(|| within('\'')) {
        Some(kind) => kind.trim(),
        None if before.contains(char::is_whitespace) => return None,
        None => before,
    };
    let after = after.trim();
    let context = match after.is_empty() {
        true => None,
        false => Some(parenthesised(after)?.trim()).filter(|context| !context.is_empty()),
    };
    let target = named(target).filter(|_| !kind.is_empty())?;
    Some(Link { target, kind: kind.to_owned(), context: context.map(str::to_owned) })
}

/// The content of a single pair of parentheses that encloses the complete text.
fn parenthesised(text: &str) -> Option<&str> {
    let within = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_i64;
    for character in within.chars() {
        depth += i64::from(character == '(') - i64::from(character == ')');
        if depth < 0 {
            return None;
        }
    }
    (depth == 0).then_some(within)
}

/// Target of a wiki link, without its display text.
fn named(target: &str) -> Option<String> {
    let target = target.split('|').next().unwrap_or_default();
    let target = target.split_whitespace().collect::<Vec<_>>().join(" ");
    (!target.is_empty()).then_some(target)
}

/// Path of the note that the relative `link` in the note at path `note` leads to. None if the link does not lead to a
/// note.
fn beside(note: &str, link: &str) -> Option<String> {
    let path = link.split(['#', '?']).next().unwrap_or_default().replace("%20", " ");
    if !path.to_ascii_lowercase().ends_with(".md") || path.contains("://") {
        return None;
    }
    let folder = note.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    parts.retain(|part| !matches!(*part, "" | "."));
    Some(parts.join("/"))
}

fn wiki_links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("[[") {
        rest = behind;
        if before.ends_with('\\') {
            continue;
        }
        let Some((target, after)) = behind.split_once("]]") else { break };
        found.extend(named(target.trim_start_matches('[')));
        rest = after;
    }
    found
}
