//! HTML in the making. Markup is a constant of the program; everything else is text and gets in only escaped.

/// An HTML document in the making.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup. Only a constant can be markup: what a client sent never has this type.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds text. It stays text in an element and in an attribute between double quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                // HTML has no notation for most of them, and a terminal would obey some.
                control if control.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                other => self.0.push(other),
            }
        }
        self
    }

    /// Adds text that a person wrote. Its direction does not reach what stands beside it.
    pub(super) fn said(&mut self, text: &str) -> &mut Html {
        self.raw("<bdi>").text(text).raw("</bdi>")
    }

    /// Adds a word of the program, such as the name of a mode.
    pub(super) fn code(&mut self, word: &str) -> &mut Html {
        self.raw("<code>").text(word).raw("</code>")
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>alert('1')</script>&amp;\u{1b}[2J\u{0}").raw("\">");
        html.said("\u{202e}a\n<b>");
        assert_eq!(
            html.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;\u{fffd}[2J\u{fffd}\">\
             <bdi>\u{202e}a\n&lt;b&gt;</bdi>"
        );
    }
}
