//! Finds secrets in objects whose values describe each other: `{"name": "API_TOKEN", "value": "…"}`, and `data` of an
//! object of kind Secret.

/// Maximum length of a text that counts as a name, bytes; longer texts are prose.
const NAME_BYTES_MAX: usize = 128;
/// Maximum length of a text that counts as a value, bytes; passwords and tokens are shorter.
const VALUE_BYTES_MAX: usize = 4096;
/// Maximum number of words of a value; a text with more words is a sentence, and is checked as a sentence.
const VALUE_WORDS_MAX: usize = 3;

/// Maximum number of names of one object, because each name is checked with each value. `_name` counts as a spelling of
/// `name`.
const NAMES_MAX: usize = 8;
/// Keys whose value is the name of something.
const NAME_KEYS: [&str; 10] =
    ["name", "key", "title", "label", "variable", "var", "env", "field", "entity", "entityname"];
/// Keys whose value is the value of the thing that another key names.
#[rustfmt::skip]
const VALUE_KEYS: [&str; 16] = [
    "value", "val", "text", "content", "contents", "data", "secret", "string", "stringvalue", "default", "defaultvalue",
    "plaintext", "current", "raw", "observations", "body",
];

/// Names and values of an object, as far as it was read.
#[derive(Default)]
pub(super) struct Pair {
    names: Vec<String>,
    /// Field name and text.
    values: Vec<(String, String)>,
    is_secret: bool,
    /// Field name, text and part of the Secret, for the strings in `data` and `stringData`.
    data: Vec<(String, String, Data)>,
}

/// The part of a Kubernetes Secret that an object may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// `data`, in base64.
    Encoded,
    /// `stringData`.
    Plain,
}

impl Data {
    pub(super) fn of(key: &str) -> Option<Data> {
        match key {
            "data" => Some(Data::Encoded),
            "stringData" => Some(Data::Plain),
            _ => None,
        }
    }

    /// The start of a manifest, to put before the value, so that the detector for manifests checks it.
    fn words(self) -> &'static str {
        match self {
            Data::Encoded => "kind: Secret\ndata:\n  value: ",
            Data::Plain => "kind: Secret\nstringData:\n  value: ",
        }
    }
}

fn one_of(keys: &[&str], key: &str) -> bool {
    let plain = key.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase());
    keys.iter().any(|known| known.bytes().eq(plain.clone()))
}

fn holds_value(key: &str) -> bool {
    one_of(&VALUE_KEYS, key)
}

impl Pair {
    /// Adds a string.
    pub(super) fn add(&mut self, key: &str, field: &str, text: &str, data: Option<Data>) {
        if let Some(data) = data
            && text.len() <= VALUE_BYTES_MAX
        {
            self.data.push((field.to_owned(), text.to_owned(), data));
        }
        if key == "kind" && text == "Secret" {
            self.is_secret = true;
        }
        let named = one_of(&NAME_KEYS, key) && self.names.len() < NAMES_MAX;
        if named && text.len() <= NAME_BYTES_MAX && !text.contains('\n') {
            self.names.push(text.to_owned());
        }
        let text = text.trim();
        if holds_value(key)
            && text.len() <= VALUE_BYTES_MAX
            && text.split_whitespace().count() <= VALUE_WORDS_MAX
        {
            self.values.push((field.to_owned(), text.to_owned()));
        }
    }

    /// Adds the names and values that were read in an object or a list under `key`. Texts that were already checked are
    /// not passed on, so that each text is checked once at any nesting depth.
    pub(super) fn take(&mut self, inner: Pair, key: &str) {
        if holds_value(key) && inner.names.is_empty() {
            self.values.extend(inner.values);
        }
        if Data::of(key).is_some() && !inner.is_secret {
            self.data.extend(inner.data);
        }
    }

    /// Texts to check: the field name, the words before the text, and the text.
    pub(super) fn judged(&self) -> impl Iterator<Item = (&str, String, &str)> {
        let data = self.data.iter().filter(|_| self.is_secret);
        let data = data.map(|(field, text, data)| (&field[..], data.words().to_owned(), &text[..]));
        let values = move |name: &'_ String| {
            let words = format!("{name}: ");
            self.values.iter().map(move |(field, text)| (&field[..], words.clone(), &text[..]))
        };
        self.names.iter().flat_map(values).chain(data)
    }
}
