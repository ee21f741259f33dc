//! Parses a memory tool command. Error messages are written for the model that sent the command, so that it can correct
//! the fields.

use serde_json::{Map, Value, json};

use super::Failed;
use crate::arguments::{CoercedArguments, fitted};
use crate::wire::MemoryToolCommand;

/// Name, required fields and optional fields of each command.
const COMMANDS: [(&str, &[&str], &[&str]); 6] = [
    ("view", &["path"], &["view_range"]),
    ("create", &["path", "file_text"], &[]),
    ("str_replace", &["path", "old_str"], &["new_str"]),
    ("insert", &["path", "insert_line", "insert_text"], &[]),
    ("delete", &["path"], &[]),
    ("rename", &["old_path", "new_path"], &[]),
];

/// JSON schema of a field, for [`fitted`], and its description for error messages.
fn kind(field: &str) -> (Value, &'static str) {
    match field {
        "view_range" => (
            json!({ "type": "array", "items": { "type": "integer" } }),
            "a list of two line numbers, such as [1, 10]",
        ),
        "insert_line" => (json!({ "type": "integer" }), "a line number, 0 for the start of the file"),
        _ => (json!({ "type": "string" }), "a text"),
    }
}

/// Parses a command. A null field counts as missing.
pub fn command(mut sent: Map<String, Value>) -> Result<MemoryToolCommand, Failed> {
    sent.retain(|_, value| !value.is_null());
    let known = COMMANDS.map(|(name, ..)| name).join(", ");
    let name =
        sent.remove("command").ok_or_else(|| format!("Missing field `command`. It is one of {known}."))?;
    let found = COMMANDS.iter().find(|(known, ..)| name.as_str().is_some_and(|name| name.trim() == *known));
    let &(name, required, optional) =
        found.ok_or_else(|| format!("There is no such command. `command` is one of {known}."))?;
    let fields: Vec<&str> = required.iter().chain(optional).copied().collect();
    let properties: Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), kind(field).0)).collect();
    let schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let CoercedArguments { arguments, ignored } = fitted(&schema, sent);
    if !ignored.is_empty() {
        return Err(format!(
            "The command {name} has no field `{}`. Its fields are {}.",
            ignored.join("`, `"),
            fields.join(", ")
        ));
    }
    if let Some(missing) = required.iter().find(|field| !arguments.contains_key(**field)) {
        let (_, words) = kind(missing);
        return Err(format!("Missing field `{missing}` of the command {name}: {words}."));
    }
    Fields { name, arguments }.read()
}

struct Fields {
    name: &'static str,
    arguments: Map<String, Value>,
}

impl Fields {
    fn read(mut self) -> Result<MemoryToolCommand, Failed> {
        Ok(match self.name {
            "view" => MemoryToolCommand::View { path: self.text("path")?, view_range: self.range()? },
            "create" => {
                MemoryToolCommand::Create { path: self.text("path")?, file_text: self.text("file_text")? }
            }
            "str_replace" => MemoryToolCommand::StrReplace {
                path: self.text("path")?,
                old_str: self.text("old_str")?,
                new_str: self.text("new_str")?,
            },
            "insert" => MemoryToolCommand::Insert {
                path: self.text("path")?,
                insert_line: self.taken("insert_line").as_i64().ok_or_else(|| self.wrong("insert_line"))?,
                insert_text: self.text("insert_text")?,
            },
            "delete" => MemoryToolCommand::Delete { path: self.text("path")? },
            _ => MemoryToolCommand::Rename {
                old_path: self.text("old_path")?,
                new_path: self.text("new_path")?,
            },
        })
    }

    fn taken(&mut self, field: &str) -> Value {
        self.arguments.remove(field).unwrap_or_default()
    }

    fn wrong(&self, field: &str) -> Failed {
        format!("The field `{field}` of the command {} must be {}.", self.name, kind(field).1)
    }

    /// Returns a text field; a missing field is the empty text, because required fields were checked before.
    fn text(&mut self, field: &str) -> Result<String, Failed> {
        match self.taken(field) {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            _ => Err(self.wrong(field)),
        }
    }

    fn range(&mut self) -> Result<Option<Vec<i64>>, Failed> {
        match self.taken("view_range") {
            Value::Null => Ok(None),
            range => serde_json::from_value(range).map(Some).map_err(|_| self.wrong("view_range")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &Value) -> Result<MemoryToolCommand, Failed> {
        command(sent.as_object().unwrap().clone())
    }

    #[test]
    fn what_a_model_got_wrong_is_said_to_the_model() {
        for (sent, said) in [
            (json!({}), "Missing field `command`"),
            (json!({ "command": null }), "Missing field `command`"),
            (json!({ "command": "look", "path": "/memories" }), "There is no such command"),
            (json!({ "command": 1 }), "There is no such command"),
            (json!({ "command": "view" }), "Missing field `path` of the command view"),
            (
                json!({ "command": "create", "path": "/memories/a", "file_text": null }),
                "Missing field `file_text`",
            ),
            (
                json!({ "command": "view", "path": "/memories", "depth": 2 }),
                "has no field `depth`. Its fields are path, view_range.",
            ),
            (
                json!({ "command": "view", "path": {} }),
                "The field `path` of the command view must be a text.",
            ),
            (
                json!({ "command": "view", "path": "/memories/a", "view_range": ["a", 2] }),
                "must be a list of two line numbers",
            ),
            (
                json!({ "command": "insert", "path": "/memories/a", "insert_line": "x", "insert_text": "y" }),
                "must be a line number",
            ),
            (
                json!({ "command": "insert", "path": "/memories/a", "insert_line": 1.5, "insert_text": "y" }),
                "must be a line number",
            ),
            (json!({ "command": "str_replace", "path": "/memories/a" }), "Missing field `old_str`"),
        ] {
            let fault = read(&sent).unwrap_err();
            assert!(fault.contains(said), "{sent}: {fault}");
        }
    }

    #[test]
    fn nothing_in_place_of_a_text_is_the_empty_text() {
        let replaced = MemoryToolCommand::StrReplace {
            path: "/memories/a".into(),
            old_str: "b".into(),
            new_str: String::new(),
        };
        for new in [json!({}), json!({ "new_str": null }), json!({ "new_str": "" })] {
            let mut sent = json!({ "command": "str_replace", "path": "/memories/a", "old_str": "b" });
            sent.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
            assert_eq!(read(&sent), Ok(replaced.clone()), "{sent}");
        }
    }

    #[test]
    fn every_way_to_write_a_number_is_one() {
        for (line, range) in
            [(json!(3), json!([1, -1])), (json!("3"), json!("[1, -1]")), (json!(3.0), json!(["1", -1.0]))]
        {
            let insert = json!({ "command": "insert", "path": "/memories/a", "insert_line": line, "insert_text": "x" });
            let expected = MemoryToolCommand::Insert {
                path: "/memories/a".into(),
                insert_line: 3,
                insert_text: "x".into(),
            };
            assert_eq!(read(&insert), Ok(expected));
            let view =
                json!({ "command": "view", "path": "/memories/a", "view_range": range, "file_text": null });
            let expected =
                MemoryToolCommand::View { path: "/memories/a".into(), view_range: Some(vec![1, -1]) };
            assert_eq!(read(&view), Ok(expected));
        }
    }
}
