"""Compares the memory tool of the package `anthropic` on an engine with the package's own tool on a directory.

Usage: anthropic_memory.py URL DIRECTORY. Prints the number of compared commands.
"""

import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))

from anthropic.lib.tools import ToolError
from anthropic.lib.tools._beta_builtin_memory_tool import BetaLocalFilesystemMemoryTool
from anthropic_memory import EngineMemoryTool

url, directory = sys.argv[1:]


def run(tool, command):
    try:
        return "ok", tool.call(command)
    except ToolError as error:
        return "error", str(error)


def normal(answer):
    """Removes the sizes of directories, which depend on the file system."""
    kind, text = answer
    text = re.sub(r"^[0-9.]+[BKMG]\t(.*/|/memories[^\t\n]*)$", lambda line: "-\t" + line[1], text, count=1, flags=re.M)
    return kind, re.sub(r"^[0-9.]+[BKMG]\t(.*/)$", lambda line: "-\t" + line[1], text, flags=re.M)


# Commands from the package's own examples of what a model sends.
STORY = [
    {"command": "view", "path": "/memories"},
    {"command": "create", "path": "/memories/notes.txt", "file_text": "Meeting notes:\n- Discussed project timeline\n- Next steps\n"},
    {"command": "create", "path": "/memories/notes.txt", "file_text": "again"},
    {"command": "view", "path": "/memories"},
    {"command": "view", "path": "/memories/notes.txt"},
    {"command": "view", "path": "/memories/notes.txt", "view_range": [2, 3]},
    {"command": "view", "path": "/memories/notes.txt", "view_range": [2, -1]},
    {"command": "view", "path": "/memories/notes.txt", "view_range": [1, 1]},
    {"command": "view", "path": "/memories/none.txt"},
    {"command": "str_replace", "path": "/memories/notes.txt", "old_str": "Next steps", "new_str": "Next: ä🦀\nmore"},
    {"command": "str_replace", "path": "/memories/notes.txt", "old_str": "not there", "new_str": "x"},
    {"command": "str_replace", "path": "/memories/notes.txt", "old_str": "e", "new_str": "x"},
    {"command": "str_replace", "path": "/memories/none.txt", "old_str": "e", "new_str": "x"},
    {"command": "insert", "path": "/memories/notes.txt", "insert_line": 0, "insert_text": "# Title\n"},
    {"command": "insert", "path": "/memories/notes.txt", "insert_line": 5, "insert_text": "last"},
    {"command": "insert", "path": "/memories/notes.txt", "insert_line": 99, "insert_text": "x"},
    {"command": "insert", "path": "/memories/notes.txt", "insert_line": -1, "insert_text": "x"},
    {"command": "insert", "path": "/memories/none.txt", "insert_line": 0, "insert_text": "x"},
    {"command": "view", "path": "/memories/notes.txt"},
    {"command": "create", "path": "/memories/a/b/deep/er.md", "file_text": "deep"},
    {"command": "create", "path": "/memories/a/.hidden", "file_text": "hidden"},
    {"command": "create", "path": "/memories/a/empty", "file_text": ""},
    {"command": "view", "path": "/memories"},
    {"command": "view", "path": "/memories/a"},
    {"command": "view", "path": "/memories/a/empty"},
    {"command": "str_replace", "path": "/memories/a", "old_str": "e", "new_str": "x"},
    {"command": "insert", "path": "/memories/a", "insert_line": 0, "insert_text": "x"},
    {"command": "create", "path": "/memories/a", "file_text": "x"},
    {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/notes.txt"},
    {"command": "rename", "old_path": "/memories/none", "new_path": "/memories/other"},
    {"command": "rename", "old_path": "/memories", "new_path": "/memories/x"},
    {"command": "rename", "old_path": "/memories/notes.txt", "new_path": "/memories/kept/new.txt"},
    {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/kept/a"},
    {"command": "view", "path": "/memories/kept"},
    {"command": "view", "path": "/memories/kept/a/b/deep/er.md"},
    {"command": "delete", "path": "/memories/kept/a/b"},
    {"command": "delete", "path": "/memories/none"},
    {"command": "delete", "path": "/memories"},
    {"command": "view", "path": "/memories/kept/a"},
    {"command": "delete", "path": "/memories/kept"},
    {"command": "view", "path": "/memories/kept"},
    {"command": "view", "path": "/memories"},
    {"command": "view", "path": "/memories/../../etc/passwd"},
    {"command": "create", "path": "/memories/../out.txt", "file_text": "x"},
    {"command": "create", "path": "/etc/passwd", "file_text": "x"},
]

# Random commands on the files of one directory. No directory becomes empty, because empty directories exist only on a
# disk.
dice = random.Random(20250818)
texts = ["", "one", "one\ntwo\n", "two\ntwo\nthree", "\n\n", "ä\r\nö\n", "x" * 2000]
names = ["/memories/" + name for name in ("p", "q", "r.md", ".s")]


def anything():
    path, text = dice.choice(names), dice.choice(texts)
    return dice.choice([
        {"command": "view", "path": path},
        {"command": "view", "path": path, "view_range": [dice.randint(-1, 4), dice.randint(-2, 5)]},
        {"command": "view", "path": "/memories"},
        {"command": "create", "path": path, "file_text": text},
        {"command": "create", "path": path, "file_text": text},
        {"command": "str_replace", "path": path, "old_str": dice.choice(["one", "two", "o", "\n", "ä"]), "new_str": text},
        {"command": "insert", "path": path, "insert_line": dice.randint(-1, 4), "insert_text": text},
        {"command": "delete", "path": path},
        {"command": "rename", "old_path": path, "new_path": dice.choice(names)},
    ])


ours = EngineMemoryTool(url, project="tool")
theirs = BetaLocalFilesystemMemoryTool(directory)
assert ours.to_dict() == {"type": "memory_20250818", "name": "memory"}
commands = STORY + [anything() for _ in range(400)]
kinds = {"ok": 0, "error": 0}
for number, command in enumerate(commands):
    our, their = normal(run(ours, command)), normal(run(theirs, command))
    assert our == their, f"command {number}, {command}:\nengine:    {our}\ndirectory: {their}"
    kinds[our[0]] += 1
assert min(kinds.values()) > 50, kinds

# Cases that a directory on a disk does not have.
for path in ["/memories/%2e%2e/x", "/memories/..%2fx", "/memories/%252e%252e%252fx", "/memories/..\\x"]:
    kind, text = run(ours, {"command": "create", "path": path, "file_text": "x"})
    assert (kind, text) == ("error", f"Path {path} would escape /memories directory"), (kind, text)
other = EngineMemoryTool(url, project="other")
assert run(other, {"command": "view", "path": "/memories"})[1].count("\n") == 1, "each project has its own files"
print(len(commands))
