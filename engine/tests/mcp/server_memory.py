"""Uses the tools of the MCP server `memory` with the Python client of the Model Context Protocol.

  server_memory.py http URL            over streamable HTTP
  server_memory.py stdio COMMAND...    over standard input and output of `COMMAND mcp ...`

Leaves one entity behind. The client checks every answer against the tool's output schema.
"""

import json
import sys

import anyio
from mcp import StdioServerParameters
from mcp.client.client import Client

TOOLS = [
    "create_entities",
    "create_relations",
    "add_observations",
    "delete_entities",
    "delete_observations",
    "delete_relations",
    "read_graph",
    "search_nodes",
    "open_nodes",
]


def server(arguments):
    if arguments[0] == "http":
        return arguments[1]
    return StdioServerParameters(command=arguments[1], args=["mcp", *arguments[2:]])


def entity(name, *observations, kind="person"):
    return {"name": name, "entityType": kind, "observations": list(observations)}


def relation(start, kind, end):
    return {"from": start, "to": end, "relationType": kind}


async def use(client):
    listed = [tool.name for tool in (await client.list_tools()).tools]
    assert listed[-9:] == TOOLS, listed

    async def done(name, **arguments):
        result = await client.call_tool(name, arguments)
        assert not result.is_error, result
        return result.structured_content, result.content[0].text

    async def told(part, name, **arguments):
        """Calls a tool whose text is a part of the answer as indented JSON."""
        structured, text = await done(name, **arguments)
        wanted = structured if part is None else structured[part]
        said = json.loads(text)
        assert said == wanted and text == json.dumps(said, indent=2, ensure_ascii=False), text
        return said

    await done("delete_entities", entityNames=["Ana", "Ben", "Kitchen"])
    assert await told(None, "read_graph") == {"entities": [], "relations": []}

    ana, ben = entity("Ana", "likes tea"), entity("Ben")
    created = await told("entities", "create_entities", entities=[ana, ben])
    assert created == [ana, ben] and list(created[0]) == list(ana), "its fields in this order too"
    again = [entity("Ana", "likes coffee", kind="cat"), entity("Kitchen", kind="place")]
    assert await told("entities", "create_entities", entities=again) == again[1:]
    assert await told("entities", "create_entities", entities=[]) == []
    loose = {**entity("Ana"), "type": "entity"}
    assert await told("entities", "create_entities", entities=[loose]) == []

    both = [relation("Ana", "knows", "Ben"), relation("Ben", "cooks in", "Kitchen")]
    assert await told("relations", "create_relations", relations=both) == both
    assert await told("relations", "create_relations", relations=both[:1]) == []

    new = [{"entityName": "Ana", "contents": ["likes tea", "has a blue kettle"]}]
    added = [{"entityName": "Ana", "addedObservations": ["has a blue kettle"]}]
    assert await told("results", "add_observations", observations=new) == added
    result = await client.call_tool("add_observations", {"observations": [{"entityName": "Nobody", "contents": ["x"]}]})
    assert result.is_error and result.content[0].text == "Entity with name Nobody not found", result
    assert result.structured_content is None, result

    ana = entity("Ana", "likes tea", "has a blue kettle")
    whole = {"entities": [ana, ben, again[1]], "relations": both}
    assert await told(None, "read_graph") == whole
    assert await told(None, "search_nodes", query="KETTLE") == {"entities": [ana], "relations": both[:1]}
    assert await told(None, "search_nodes", query="") == whole
    assert await told(None, "search_nodes", query="nothing of this") == {"entities": [], "relations": []}
    assert await told(None, "open_nodes", names=["Ben", "Nobody"]) == {"entities": [ben], "relations": both}
    assert await told(None, "open_nodes", names=[]) == {"entities": [], "relations": []}

    async def deleted(kind, name, **arguments):
        message = f"{kind} deleted successfully"
        assert await done(name, **arguments) == ({"success": True, "message": message}, message)

    await deleted("Observations", "delete_observations", deletions=[{"entityName": "Ana", "observations": ["likes tea", "x"]}])
    await deleted("Observations", "delete_observations", deletions=[{"entityName": "Nobody", "observations": ["x"]}])
    await deleted("Relations", "delete_relations", relations=both[1:])
    await deleted("Entities", "delete_entities", entityNames=["Ben", "Nobody"])
    ana = entity("Ana", "has a blue kettle")
    assert await told(None, "read_graph") == {"entities": [ana, again[1]], "relations": []}
    await deleted("Entities", "delete_entities", entityNames=["Ana"])

    refused = await client.call_tool("create_entities", {})
    assert refused.is_error and refused.structured_content is None, refused


async def main(arguments):
    for mode in ("legacy", "auto"):
        async with Client(server(arguments), mode=mode) as client:
            print(mode, client.protocol_version)
            await use(client)


anyio.run(main, sys.argv[1:])
