"""Uses every tool of an engine with the Python client of the Model Context Protocol.

  client.py http URL            over streamable HTTP
  client.py stdio COMMAND...    over standard input and output of `COMMAND mcp ...`

The client checks every answer against the tool's output schema.
"""

import json
import sys

import anyio
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError


def server(arguments):
    if arguments[0] == "http":
        return arguments[1]
    return StdioServerParameters(command=arguments[1], args=["mcp", *arguments[2:]])


async def use(client, mode):
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.title and tool.description and tool.annotations, tool
    used = set()

    async def done(name, **arguments):
        used.add(name)
        result = await client.call_tool(name, arguments)
        assert not result.is_error, result
        assert result.content[0].text, result
        if tools[name].output_schema:
            return result.structured_content
        # A tool that answers with texts of memories sends them once, in its content, which programs request as JSON.
        assert result.structured_content is None, result
        again = await client.call_tool(name, arguments | {"format": "json"})
        return json.loads(again.content[0].text)

    saved = await done("memory_save", content=f"The kettle is blue, says {mode}.", project=mode, tags=["colour"])
    found = await done("memory_search", query="kettle", project=mode)
    assert found["total"] == 1 and found["items"][0]["id"] == saved["id"], found
    read = await done("memory_get", id=saved["id"])
    assert read["tags"] == ["colour"], read
    proof = await done("memory_proof", seq=saved["seq"])
    assert proof["hash"] == saved["hash"], proof
    await done("memory_invalidate", id=saved["id"], reason="painted")
    assert (await done("memory_search", query="kettle", project=mode))["total"] == 0
    then = await done("memory_as_of", known_at_seq=saved["seq"], id=saved["id"])
    assert then["memory"]["content"] == read["content"], then
    around = await done("memory_timeline", id=saved["id"])
    assert around["items"][around["anchor"]]["id"] == saved["id"], around
    other = await done("memory_save", content=f"The stove is red, says {mode}.", project=mode)
    context = await done("memory_checkout", query="What colour is the stove?", project=mode)
    assert [item["id"] for item in context["relevant"]] == [other["id"]] and "stove is red" in context["context"], context
    explained = await done("memory_explain", query="stove", project=mode, id=other["id"])
    assert explained["items"][0]["breakdown"]["lexical"]["points"] > 0 and explained["weights"], explained
    await done("memory_feedback", id=other["id"], useful=True, note="it had the colour")
    assert (await done("memory_get", id=other["id"]))["feedback"]["count"] == 1
    would = await done("memory_forget", ids=[other["id"]], reason="asked for")
    assert would["dry_run"] and would["memories"] == 1, would
    gone = await done("memory_forget", ids=[other["id"]], reason="asked for", dry_run=False)
    assert gone["complete"] and gone["memories"] == 1, gone
    status = await done("memory_status")
    assert status["writable"] and status["head_seq"] >= saved["seq"], status
    assert used == set(tools), f"not used: {set(tools) - used}"

    refused = await client.call_tool("memory_save", {"content": ""})
    assert refused.is_error and refused.structured_content["error"]["code"] == "INVALID_ARGUMENT", refused
    try:
        await client.call_tool("memory_nobody", {})
    except MCPError as error:
        assert "no such tool" in str(error), error
    else:
        raise AssertionError("a tool that is not there was called")


async def main(arguments):
    for mode in ("legacy", "auto"):
        async with Client(server(arguments), mode=mode) as client:
            print(mode, client.protocol_version)
            await use(client, mode)


anyio.run(main, sys.argv[1:])
