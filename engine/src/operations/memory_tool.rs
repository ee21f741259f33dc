//! The memory tool `memory_20250818`: its files are items of one namespace.

use engine_core::access::Scope;
use engine_core::identity::{HasIdentifiers, Visit};
use engine_core::limits::{ANSWER_BYTES_MAX, MEMORY_FILES_MAX};
use engine_core::memory_tool::{
    Failed, File, NAMESPACE, Path, command, inserted, listing, numbered, replaced,
};
use engine_core::policy::Form;
use engine_core::request::{self, ItemWrite};
use engine_core::wire::{DeleteItem, ErrorCode, ItemView, MemoryToolAnswer, MemoryToolCommand, PutItem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::gate::OneProject;
use super::handle::Operations;
use super::items::NamedItem;
use crate::refusal::Refusal;
use engine_projection::{ItemFile, files};

/// Value of the item that holds a file.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    text: String,
}

/// Why a command failed.
enum Fault {
    /// A failure that is reported to the model in a normal response.
    Reported(Failed),
    /// A failure that is returned to the client as an error.
    Refused(Refusal),
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Fault {
        Fault::Reported(failed)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        match refusal.code() {
            ErrorCode::InvalidArgument | ErrorCode::PayloadTooLarge | ErrorCode::AnswerTooLarge => {
                Fault::Reported(refusal.message().to_owned())
            }
            ErrorCode::PolicyBlocked => {
                Fault::Reported(format!("Nothing was written: {}. Write it without that.", refusal.message()))
            }
            ErrorCode::VersionConflict | ErrorCode::ItemNotFound => {
                Fault::Reported("The file was changed in the meantime. Please view it again.".into())
            }
            _ => Fault::Refused(refusal),
        }
    }
}

type CommandResult = Result<String, Fault>;

impl Operations {
    /// Runs one command. A fault that the model can correct is a response with `is_error`. Any other fault, such as a
    /// full volume, is an error.
    pub(crate) async fn memory_tool(
        &self,
        project: Option<String>,
        sent: Map<String, Value>,
    ) -> Result<MemoryToolAnswer, Refusal> {
        let command = match command(sent) {
            Ok(command) => command,
            Err(content) => return Ok(MemoryToolAnswer { content, is_error: true }),
        };
        // Every command reads: the answers of the others tell which files there are, and show a part of them.
        let mut permit = self.permit(Scope::Read)?;
        match command {
            MemoryToolCommand::View { .. } => self.engine.modes.admit_read()?,
            _ => permit = self.admit_write()?,
        }
        let mut named = OneProject(project);
        self.stored(&permit, &mut named).await?;
        let project = named.0;
        let (project, ..) = request::item_place(project, vec![NAMESPACE.to_owned()], NAMESPACE.to_owned())?;
        // Commands of a project run one at a time, so that no two commands create a file and a directory of the same
        // name.
        let _turn = self.engine.write_locks.command((NAMESPACE, &project)).await;
        let files = Files { operations: self, project };
        match files.run(command).await {
            Ok(content) => Ok(MemoryToolAnswer { content, is_error: false }),
            Err(Fault::Reported(content)) => Ok(MemoryToolAnswer { content, is_error: true }),
            Err(Fault::Refused(refusal)) => Err(refusal),
        }
    }
}

/// A path relative to the root directory.
struct RelativePath(String);

impl HasIdentifiers for RelativePath {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        visit(&mut self.0, Form::Path);
    }
}

struct Files<'a> {
    operations: &'a Operations,
    project: String,
}

impl Files<'_> {
    async fn run(&self, command: MemoryToolCommand) -> CommandResult {
        match command {
            MemoryToolCommand::View { path, view_range } => {
                self.view(&self.path(&path).await?, view_range.as_deref()).await
            }
            MemoryToolCommand::Create { path, file_text } => {
                self.create(&self.path(&path).await?, file_text).await
            }
            MemoryToolCommand::StrReplace { path, old_str, new_str } => {
                let path = self.path(&path).await?;
                self.edit(&path, |text| replaced(&path, text, &old_str, &new_str)).await
            }
            MemoryToolCommand::Insert { path, insert_line, insert_text } => {
                let path = self.path(&path).await?;
                self.edit(&path, |text| inserted(&path, text, insert_line, &insert_text)).await
            }
            MemoryToolCommand::Delete { path } => self.delete(&self.path(&path).await?).await,
            MemoryToolCommand::Rename { old_path, new_path } => {
                self.rename(&self.path(&old_path).await?, &self.path(&new_path).await?).await
            }
        }
    }

    /// Checks a path and converts the part below the root to its stored form.
    async fn path(&self, asked: &str) -> Result<Path, Fault> {
        let Path { asked, below } = Path::new(asked)?;
        let mut below = RelativePath(below);
        self.operations.stored_part(&mut below).await?;
        Ok(Path { asked, below: below.0 })
    }

    async fn view(&self, path: &Path, range: Option<&[i64]>) -> CommandResult {
        if let Some((content, _)) = self.file(path).await? {
            return Ok(numbered(path, &content.text, range)?);
        }
        let inside = self.inside(path).await?;
        if inside.is_empty() && !path.is_root() {
            let asked = &path.asked;
            return Err(Fault::Reported(format!(
                "The path {asked} does not exist. Please provide a valid path."
            )));
        }
        let sizes: Vec<File> = inside.into_iter().map(|file| (file.key, file.bytes)).collect();
        Ok(listing(path, &sizes))
    }

    async fn create(&self, path: &Path, text: String) -> CommandResult {
        if self.exists(path).await? {
            return Err(Fault::Reported(format!("File {} already exists", path.asked)));
        }
        self.check_parents(path).await?;
        self.write(vec![self.put(path.below.clone(), &Content { text }, 0)?]).await?;
        Ok(format!("File created successfully at: {}", path.asked))
    }

    async fn edit(
        &self,
        path: &Path,
        edit: impl FnOnce(&str) -> Result<(String, String), Failed>,
    ) -> CommandResult {
        let asked = &path.asked;
        let Some((content, version)) = self.file(path).await? else {
            return Err(Fault::Reported(match self.exists(path).await? {
                true => format!("The path {asked} is not a file."),
                false => format!("The path {asked} does not exist. Please provide a valid path."),
            }));
        };
        let (text, answer) = edit(&content.text)?;
        self.write(vec![self.put(path.below.clone(), &Content { text }, version)?]).await?;
        Ok(answer)
    }

    async fn delete(&self, path: &Path) -> CommandResult {
        let asked = &path.asked;
        if path.is_root() {
            return Err(Fault::Reported("Cannot delete the /memories directory itself".into()));
        }
        let mut gone = self.inside(path).await?;
        gone.extend(self.file(path).await?.map(|(_, version)| ItemFile::at(path.below.clone(), version)));
        if gone.is_empty() {
            return Err(Fault::Reported(format!("The path {asked} does not exist")));
        }
        let writes = gone.into_iter().map(|file| self.removal(file));
        self.write(writes.collect::<Result<_, _>>()?).await?;
        Ok(format!("Successfully deleted {asked}"))
    }

    async fn rename(&self, old: &Path, new: &Path) -> CommandResult {
        if old.is_root() {
            return Err(Fault::Reported("Cannot rename the /memories directory itself".into()));
        }
        if self.exists(new).await? {
            return Err(Fault::Reported(format!("The destination {} already exists", new.asked)));
        }
        let mut moved = self.inside(old).await?;
        moved.extend(self.file(old).await?.map(|(_, version)| ItemFile::at(old.below.clone(), version)));
        if moved.is_empty() {
            return Err(Fault::Reported(format!("The path {} does not exist", old.asked)));
        }
        if new.below.starts_with(&old.inside()) {
            return Err(Fault::Reported(format!("Cannot move {} into itself", old.asked)));
        }
        self.check_parents(new).await?;
        let bytes: u64 = moved.iter().map(|file| file.bytes).sum();
        if bytes > ANSWER_BYTES_MAX as u64 {
            return Err(Fault::Reported(format!(
                "The directory {} is too large to be moved at once: move what is in it",
                old.asked
            )));
        }
        let mut writes = Vec::new();
        for file in moved {
            let to = format!("{}{}", new.below, &file.key[old.below.len()..]);
            let from = Path { asked: old.asked.clone(), below: file.key.clone() };
            let Some((content, _)) = self.file(&from).await? else { continue };
            writes.push(self.put(to, &content, 0)?);
            writes.push(self.removal(file)?);
        }
        self.write(writes).await?;
        Ok(format!("Successfully renamed {} to {}", old.asked, new.asked))
    }

    /// Returns the file at a path and the version of its item.
    async fn file(&self, path: &Path) -> Result<Option<(Content, u64)>, Fault> {
        if path.is_root() {
            return Ok(None);
        }
        let (project, key) = (Some(self.project.clone()), path.below.clone());
        let named = NamedItem { project, namespace: vec![NAMESPACE.to_owned()], key };
        let found = self.operations.read_item(named, None, None).await;
        match found {
            Ok(ItemView { value, version, .. }) => {
                let content = serde_json::from_str(value.get());
                let fault = |_| Fault::Reported(format!("The path {} holds no text", path.asked));
                Ok(Some((content.map_err(fault)?, version)))
            }
            Err(refusal) if refusal.code() == ErrorCode::ItemNotFound => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Returns all files below a directory.
    async fn inside(&self, path: &Path) -> Result<Vec<ItemFile>, Fault> {
        let (project, inside, moment) =
            (self.project.clone(), path.inside(), self.operations.moment(None, None));
        let read = move |connection: &_| files(connection, &project, NAMESPACE, &inside, &moment);
        let found = self.operations.query("memory_files", None, read).await?;
        if found.len() > MEMORY_FILES_MAX {
            let asked = &path.asked;
            return Err(Fault::Reported(format!(
                "The directory {asked} has more than {MEMORY_FILES_MAX} files"
            )));
        }
        Ok(found)
    }

    async fn exists(&self, path: &Path) -> Result<bool, Fault> {
        Ok(path.is_root() || self.file(path).await?.is_some() || !self.inside(path).await?.is_empty())
    }

    /// Checks that no parent directory of the path is a file.
    async fn check_parents(&self, path: &Path) -> Result<(), Fault> {
        // Error messages name the paths as the model wrote them, so both forms are iterated segment by segment.
        let asked = Path::new(&path.asked)?;
        for (asked, below) in asked.parents().zip(path.parents()) {
            let parent = Path { asked: format!("/memories/{asked}"), below: below.to_owned() };
            if self.file(&parent).await?.is_some() {
                return Err(Fault::Reported(format!("The path {} is not a directory", parent.asked)));
            }
        }
        Ok(())
    }

    fn put(&self, key: String, content: &Content, version: u64) -> Result<ItemWrite, Refusal> {
        let value = serde_json::value::to_raw_value(content).expect("a text is always JSON");
        let item = PutItem {
            project: Some(self.project.clone()),
            namespace: vec![NAMESPACE.to_owned()],
            key,
            value,
            expires_at: None,
            index: None,
            if_version: Some(version),
            session: None,
            actor: Some(NAMESPACE.to_owned()),
        };
        Ok(request::put_text_item(item, &content.text)?)
    }

    fn removal(&self, file: ItemFile) -> Result<ItemWrite, Refusal> {
        Ok(request::deleted_item(DeleteItem {
            project: Some(self.project.clone()),
            namespace: vec![NAMESPACE.to_owned()],
            key: file.key,
            if_version: Some(file.version),
            session: None,
            actor: Some(NAMESPACE.to_owned()),
        })?)
    }

    async fn write(&self, writes: Vec<ItemWrite>) -> Result<(), Fault> {
        self.operations.write_items(writes, None).await?;
        Ok(())
    }
}
