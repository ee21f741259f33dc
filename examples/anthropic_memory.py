"""Stores the files of Claude's memory tool in an engine.

    from anthropic import Anthropic
    from anthropic_memory import EngineMemoryTool

    tool = EngineMemoryTool("http://notes.NAMESPACE.svc:8080", project="support")
    Anthropic().beta.messages.run_tools(..., tools=[tool])
"""

import httpx
from anthropic.lib.tools import BetaAbstractMemoryTool, ToolError


class EngineMemoryTool(BetaAbstractMemoryTool):
    """Forwards the six commands to `POST /v1/adapters/anthropic-memory` and returns the engine's answer."""

    def __init__(self, url: str, *, project: str | None = None, timeout_s: float = 30.0) -> None:
        super().__init__()
        headers = {"x-memory-project": project} if project else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def _run(self, command) -> str:
        body = command.model_dump(mode="json", exclude_none=True)
        response = self._client.post("/v1/adapters/anthropic-memory", json=body)
        # Errors that the model cannot correct (no such route, a full volume) are raised, not sent to the model.
        response.raise_for_status()
        answer = response.json()
        if answer["is_error"]:
            raise ToolError(answer["content"])
        return answer["content"]

    view = create = str_replace = insert = delete = rename = _run
