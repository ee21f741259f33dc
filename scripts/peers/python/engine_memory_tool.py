"""The memory tool of the package `anthropic` on an engine: replaces its tools on a directory.

The suite checks the directory, so after each command the directory is synchronised from the engine.
"""

import os
import shutil
import uuid
from pathlib import Path

import counted
from anthropic.lib.tools import ToolError
from anthropic.lib.tools._beta_builtin_memory_tool import BetaAbstractMemoryTool, BetaAsyncAbstractMemoryTool

TIMEOUT_S = 30.0


class _Engine:
    def __init__(self, base_path=None):
        super().__init__()
        self.base_path = Path(base_path or "./memory")
        self.memory_root = self.base_path / "memories"
        self.memory_root.mkdir(parents=True, exist_ok=True, mode=0o700)
        headers = {"x-memory-project": f"peers-{uuid.uuid4().hex}"}
        self._client = counted.client(base_url=os.environ["ENGINE_URL"], headers=headers, timeout=TIMEOUT_S)

    def _ask(self, body):
        response = self._client.post("/v1/adapters/anthropic-memory", json=body)
        response.raise_for_status()
        return response.json()

    def _do(self, command):
        self._take_files()
        answer = self._ask(command.model_dump(mode="json", exclude_none=True))
        self._show_files()
        if answer["is_error"]:
            raise ToolError(answer["content"])
        return answer["content"]

    def _items(self):
        body = {"namespace_prefix": ["anthropic-memory"], "limit": 500}
        return self._client.post("/store/items/search", json=body).raise_for_status().json()["items"]

    def _take_files(self):
        """Copies files that a test wrote directly into the directory to the engine."""
        there = {item["key"].removeprefix("/memories/").lstrip("/") for item in self._items()}
        for path in self.memory_root.rglob("*"):
            name = path.relative_to(self.memory_root).as_posix()
            if path.is_file() and not path.is_symlink() and name not in there:
                self._ask({"command": "create", "path": f"/memories/{name}", "file_text": path.read_text()})

    def _show_files(self):
        for path in self.memory_root.iterdir():
            if path.is_symlink():
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for item in self._items():
            name = item["key"].removeprefix("/memories/").lstrip("/")
            path = self.memory_root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(item["value"]["text"])


class EngineMemoryTool(_Engine, BetaAbstractMemoryTool):
    def view(self, command):
        return self._do(command)

    create = str_replace = insert = delete = rename = view


class AsyncEngineMemoryTool(_Engine, BetaAsyncAbstractMemoryTool):
    async def view(self, command):
        return self._do(command)

    create = str_replace = insert = delete = rename = view
