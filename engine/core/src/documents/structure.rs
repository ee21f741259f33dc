//! Block structure of a Markdown document, as a CommonMark parser reports it.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::limits::TITLE_CHARS_MAX;

/// Maximum nesting depth of blocks (for example lists in lists) that is recorded. Deeper blocks count as part of the
/// block at this depth.
pub(super) const DEPTH_MAX: usize = 8;

/// Blocks of a text, as byte offsets of their starts and ends.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// Starts of headings that are not inside another block.
    pub(super) sections: Vec<usize>,
    /// Starts of blocks, by depth. The block after a heading belongs to the heading and is not listed.
    pub(super) blocks: [Vec<usize>; DEPTH_MAX],
    /// Ranges of verbatim text, such as code.
    verbatim: Vec<Range<usize>>,
    /// Ranges of links, images and inline code, which should not be cut.
    atoms: Vec<Range<usize>>,
    /// Ranges of hard line breaks.
    hard_breaks: Vec<Range<usize>>,
    /// Text of the first heading that is not empty.
    heading: Option<String>,
    /// Title from the front matter.
    named: Option<String>,
}

impl Structure {
    /// Parses a text whose lines end with line feeds.
    pub(super) fn of(text: &str) -> Structure {
        let mut reader = Reader { text, ..Reader::default() };
        let body = reader.front_matter();
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_HEADING_ATTRIBUTES;
        for (event, range) in Parser::new_ext(&text[body..], options).into_offset_iter() {
            reader.take(&event, range.start + body..range.end + body);
        }
        reader.found
    }

    /// Structure of a program or a configuration file: lines without headings.
    pub(super) fn of_lines(text: &str) -> Structure {
        Structure { verbatim: std::iter::once(0..text.len()).collect(), ..Structure::default() }
    }

    /// The first heading, or else the title from the front matter. None if the title is too long or has control
    /// characters.
    pub(super) fn title(&self) -> Option<String> {
        let fits = |title: &&String| {
            title.chars().count() <= TITLE_CHARS_MAX && !title.chars().any(char::is_control)
        };
        self.heading.as_ref().or(self.named.as_ref()).filter(fits).cloned()
    }

    /// Whether a place is inside verbatim text.
    pub(super) fn is_verbatim(&self, place: usize) -> bool {
        within(&self.verbatim, place)
    }

    /// Whether a place is inside a link, an image or inline code.
    pub(super) fn is_in_atom(&self, place: usize) -> bool {
        within(&self.atoms, place)
    }

    /// Whether trailing spaces make the line that ends at this place a hard line break.
    pub(super) fn breaks_hard(&self, line_feed: usize) -> bool {
        within(&self.hard_breaks, line_feed)
    }
}

/// Whether a place is after the start and before the end of one of the ranges. The ranges are sorted and do not
/// overlap.
fn within(ranges: &[Range<usize>], place: usize) -> bool {
    let after = ranges.partition_point(|range| range.start < place);
    after.checked_sub(1).is_some_and(|last| place < ranges[last].end)
}

/// Consumes the parser's events and records the structure.
#[derive(Default)]
struct Reader<'a> {
    text: &'a str,
    found: Structure,
    /// Number of open blocks.
    depth: usize,
    /// Text of the open heading at depth 0.
    heading: Option<String>,
    /// Whether the previous block was a heading.
    after_heading: bool,
    /// Text of the open HTML block.
    html: Option<String>,
    atoms: usize,
}

impl Reader<'_> {
    /// Reads YAML or TOML front matter and returns the offset at which the document's body starts.
    fn front_matter(&mut self) -> usize {
        let options =
            Options::ENABLE_YAML_STYLE_METADATA_BLOCKS | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
        let first = Parser::new_ext(self.text, options).into_offset_iter().next();
        let Some((Event::Start(Tag::MetadataBlock(_)), range)) = first else { return 0 };
        if range.start > 0 {
            return 0;
        }
        self.found.named = self.text[range.clone()].lines().find_map(named);
        self.found.blocks[0].push(0);
        self.found.verbatim.push(range.clone());
        range.end
    }

    fn take(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => {
                self.say(text);
                if matches!(event, Event::Code(_)) && self.atoms == 0 {
                    self.found.atoms.push(range);
                }
            }
            Event::SoftBreak => self.say(" "),
            Event::HardBreak => {
                self.say(" ");
                // A backslash is visible text; only trailing white space is recorded.
                if self.text[range.clone()].starts_with([' ', '\t']) {
                    self.found.hard_breaks.push(range);
                }
            }
            Event::Html(html) => {
                if let Some(block) = &mut self.html {
                    block.push_str(html);
                }
            }
            Event::Rule if self.depth == 0 => self.block(range.start),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::TableCell
            | Tag::Superscript
            | Tag::Subscript => {}
            Tag::Link { .. } | Tag::Image { .. } => {
                if self.atoms == 0 {
                    self.found.atoms.push(range);
                }
                self.atoms += 1;
            }
            Tag::Heading { .. } => {
                if self.depth == 0 {
                    let start = self.line_start(range.start).unwrap_or(range.start);
                    self.found.sections.push(start);
                    self.heading = Some(String::new());
                }
                self.open(range.start);
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock => {
                if matches!(tag, Tag::HtmlBlock) {
                    self.html = Some(String::new());
                }
                self.found.verbatim.push(range.clone());
                self.open(range.start);
            }
            _ => self.open(range.start),
        }
    }

    fn end(&mut self, tag: &TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::TableCell => return,
            TagEnd::Superscript | TagEnd::Subscript => return,
            TagEnd::Link | TagEnd::Image => {
                self.atoms -= 1;
                return;
            }
            TagEnd::HtmlBlock => {
                let heading = self.html.take().and_then(|html| html_heading(&html));
                self.head(heading.unwrap_or_default().as_str());
            }
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
        self.after_heading = matches!(tag, TagEnd::Heading(_)) && self.depth == 0;
        if self.after_heading {
            let heading = self.heading.take().unwrap_or_default();
            self.head(&heading);
        }
    }

    /// Records the start of a block that may contain other blocks.
    fn open(&mut self, start: usize) {
        self.block(start);
        self.depth += 1;
    }

    fn block(&mut self, start: usize) {
        let follows = self.after_heading && self.depth == 0;
        self.after_heading = false;
        if follows || self.depth >= DEPTH_MAX {
            return;
        }
        if let Some(start) = self.line_start(start) {
            self.found.blocks[self.depth].push(start);
        }
    }

    /// Start of the line that contains `place`. None if anything but white space and block quote markers precedes
    /// `place` on the line.
    fn line_start(&self, place: usize) -> Option<usize> {
        let start = self.text[..place].rfind('\n').map_or(0, |line_feed| line_feed + 1);
        self.text[start..place].chars().all(|before| matches!(before, ' ' | '\t' | '>')).then_some(start)
    }

    fn say(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
        }
    }

    fn head(&mut self, text: &str) {
        let heading = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.found.heading.is_none() && !heading.is_empty() {
            self.found.heading = Some(heading);
        }
    }
}

/// The title in a line of front matter: `title: …` in YAML, `title = …` in TOML.
fn named(line: &str) -> Option<String> {
    let rest = line.strip_prefix("title")?.trim_start();
    let value = rest.strip_prefix([':', '='])?.trim();
    let quoted = |mark: char| value.strip_prefix(mark)?.split(mark).next();
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value).trim();
    // A YAML value that starts with one of these characters is not a one-line string.
    let is_text = !value.is_empty() && !value.starts_with(['|', '>', '[', '{', '&', '*', '#']);
    is_text.then(|| value.to_owned())
}

/// Text of the first heading written in HTML, as at the top of many READMEs.
fn html_heading(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let (mut from, mut found) = (0, None);
    while found.is_none() {
        let start = from + lower[from..].find("<h")?;
        from = start + 2;
        let level = lower[from..].chars().next().filter(|level| ('1'..='6').contains(level));
        let named = level.is_some() && lower[from + 1..].starts_with(['>', ' ', '\n', '\t']);
        if let (true, Some(level)) = (named, level) {
            let open = start + lower[start..].find('>')? + 1;
            let close = open + lower[open..].find(&format!("</h{level}"))?;
            found = Some(without_tags(&html[open..close])).filter(|text| !text.trim().is_empty());
        }
    }
    found
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for character in html.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if !in_tag => text.push(character),
            _ => {}
        }
    }
    let named =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    named.into_iter().fold(text, |text, (name, character)| text.replace(name, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Option<String> {
        Structure::of(text).title()
    }

    #[test]
    fn headings_of_every_form_are_titles_and_comments_in_code_are_none() {
        for text in [
            "# The title",
            "## The title ##",
            "   # The *title*   ",
            "The title\n=========\n\ntext",
            "The\ntitle\n---\n",
            "# The `title` {#anchor}",
            "# [The title](https://example.org/a)",
            "#\tThe title",
            "```sh\n# no title\n```\n\n# The title\n",
            "~~~~\n```\n# no title\n~~~~\n\n# The title\n",
            "    # no title\n\n# The title\n",
            "````md\n```sh\n# no title\n```\n# nor this\n````\n# The title",
            "---\n# a comment\nlayout: post\n---\n\n# The title\n",
            "+++\n# a comment\ndate = 2026-01-01\n+++\n# The title\n",
            "---\nlayout: post\ntitle: \"The title\"\n---\ntext without a heading",
            "+++\ntitle = 'The title'\n+++\ntext",
            "<!--\n# no title\n-->\n\n# The title",
            "<pre>\n# no title\n</pre>\n\n# The title",
            "<h1 align=\"center\">\n  <img src=\"x\"/>The <b>title</b>\n</h1>\n\n# Another\n",
            "> # a quotation's\n\n# The title",
            "- # an item's\n\n# The title",
            "#hashtag\n\n# The title",
            "#\n\n# The title",
            "\\# no title\n\n# The title",
        ] {
            assert_eq!(title(text).as_deref(), Some("The title"), "{text:?}");
        }
        for text in [
            "text",
            "#no",
            "```\n# x\n```",
            "```\n# never closed\n",
            "* * *\n",
            "####### seven",
            "---\n\ntext\n",
        ] {
            assert_eq!(title(text), None, "{text:?}");
        }
        assert_eq!(title(&format!("# {}", "x".repeat(TITLE_CHARS_MAX + 1))), None);
    }

    #[test]
    fn a_line_of_dashes_inside_is_no_front_matter() {
        assert_eq!(
            title("text\n\n---\ntitle: no\n---\n\nmore").as_deref(),
            Some("title: no"),
            "an underlined heading"
        );
        assert_eq!(title("---\ntitle: never closed\n\n# Real").as_deref(), Some("Real"));
    }

    #[test]
    fn blocks_are_found_at_the_start_of_their_lines() {
        let text = "# A\n\npara\n\n- one\n  - two\n- three\n\n> quote\n>\n> more\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[^1]: note\n";
        let found = Structure::of(text);
        let starts = |depth: usize| -> Vec<&str> {
            found.blocks[depth].iter().map(|start| text[*start..].lines().next().unwrap()).collect()
        };
        assert_eq!(found.sections, [0]);
        // The paragraph after a heading is not listed: it belongs to the heading.
        assert_eq!(starts(0), ["# A", "- one", "> quote", "| a | b |", "[^1]: note"]);
        assert_eq!(starts(1), ["- one", "- three", "> quote", "> more", "| a | b |", "| 1 | 2 |"]);
    }

    #[test]
    fn deep_nesting_is_read_in_reasonable_time() {
        let deep = format!("{}text\n{}x", "> ".repeat(3000), "- ".repeat(3000));
        assert_eq!(title(&deep), None);
    }
}
