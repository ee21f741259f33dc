"""Runs the store client of the package `langgraph-sdk` against an engine.

Usage: langgraph_store.py URL. Prints the number of calls.
"""

import asyncio
import sys
from datetime import datetime

from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import APIError

url = sys.argv[1]
calls = 0


class Counted:
    """Counts calls, so that a script that calls nothing cannot pass."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        global calls
        calls += 1
        return getattr(self._store, name)


store = Counted(get_sync_client(url=url, api_key=None).store)


def refused(call):
    try:
        call()
    except APIError as error:
        return error.response.status_code, error.response.json()["error"]["code"]
    raise AssertionError("it was not refused")


# Put, get, put again, delete.
assert store.put_item(["users", "ana"], key="likes", value={"food": "pizza", "rank": 1}) is None
first = store.get_item(["users", "ana"], key="likes")
assert first["namespace"] == ["users", "ana"] and first["key"] == "likes", first
assert first["value"] == {"food": "pizza", "rank": 1} and first["created_at"] == first["updated_at"], first
datetime.fromisoformat(first["created_at"].replace("Z", "+00:00"))
store.put_item(["users", "ana"], key="likes", value={"food": "pasta", "rank": 2})
second = store.get_item(["users", "ana"], key="likes")
assert second["value"]["food"] == "pasta" and second["created_at"] == first["created_at"], second
assert second["updated_at"] > first["updated_at"], (first, second)
assert store.get_item(["users", "ana"], key="none") is None
assert store.delete_item(["users", "ana"], key="likes") is None
assert store.delete_item(["users", "ana"], key="likes") is None, "what is not there is deleted already"
assert store.get_item(["users", "ana"], key="likes") is None

# Search by prefix, filter and words, page by page.
colours = ["red", "green", "blue"]
for n in range(9):
    value = {"n": n, "colour": colours[n % 3], "text": f"the {colours[n % 3]} kettle number{n}", "in": {"half": n / 2}}
    store.put_item(["docs", f"team{n % 2}"], key=f"d{n}", value=value)
store.put_item(["docsother"], key="x", value={"n": 99})


def keys(*prefix, **more):
    return [item["key"] for item in store.search_items(list(prefix), **more)["items"]]


assert keys("docs", limit=100) == [f"d{n}" for n in reversed(range(9))], "last changed first"
assert keys("docs", "team1", limit=100) == ["d7", "d5", "d3", "d1"]
assert len(keys()) == 10, "the default limit"
assert keys(limit=100)[0] == "x"
assert keys("docs", limit=2, offset=3) == ["d5", "d4"]
assert keys("docs", filter={"colour": "red"}) == ["d6", "d3", "d0"]
assert keys("docs", filter={"n": {"$gte": 3, "$lt": 5}}) == ["d4", "d3"]
assert keys("docs", filter={"n": {"$gt": 7}}) == ["d8"] and keys("docs", filter={"n": {"$lte": 0}}) == ["d0"]
assert keys("docs", filter={"colour": {"$ne": "red"}, "n": {"$lt": 3}}) == ["d2", "d1"]
assert keys("docs", filter={"colour": {"$eq": "blue"}, "in": {"half": 2.5}}) == ["d5"]
assert keys("docs", filter={"none": 1}) == []
found = store.search_items(["docs"], query="where is kettle number7?", limit=3)["items"]
assert found[0]["key"] == "d7" and found[0]["score"] > found[1]["score"], found
assert "score" not in store.search_items(["docs"], limit=1)["items"][0]
assert all(0 <= item["score"] <= 1 for item in found), found
# As in LangGraph, matches come first, followed by other items up to the limit; sentences find items by meaning.
assert sorted(keys("docs", query="unheard", limit=100)) == [f"d{n}" for n in range(9)]
store.put_item(["users", "ana"], key="likes", value={"text": "Her favourite dish is pizza with olives", "n": 1})
store.put_item(["users", "ana"], key="lives", value={"text": "She moved to Lisbon last spring", "n": 2})
store.put_item(["users", "ana"], key="drives", value={"text": "She drives an old red van to work", "n": 3})
for query, key in [
    ("Which food is her favourite?", "likes"),
    ("Where did she move to?", "lives"),
    ("What does she drive?", "drives"),
    ("Does she own a car?", "drives"),
]:
    best = store.search_items(["users"], query=query, limit=3)["items"]
    assert best[0]["key"] == key and len(best) == 3, (query, best)
assert [item["key"] for item in store.search_items(["users"], query="what does ana eat", filter={"n": 2})["items"]] == ["lives"]
for n in range(3):
    store.delete_item(["users", "ana"], key=["likes", "lives", "drives"][n])

# Indexed fields, and the lifetime of an item.
store.put_item(["index"], key="none", value={"a": "apple", "b": "pear"}, index=False)
store.put_item(["index"], key="some", value={"a": "apple", "b": "pear"}, index=["b"])
found = store.search_items(["index"], query="pear")["items"]
assert [(item["key"], item.get("score") is None) for item in found] == [("some", False), ("none", True)], found
store.put_item(["index"], key="long", value={"a": "fig"}, ttl=60)
assert store.get_item(["index"], key="long", refresh_ttl=False)["value"] == {"a": "fig"}
assert store.get_item(["index"], key="long", refresh_ttl=True)["value"] == {"a": "fig"}
assert [item["key"] for item in store.search_items(["index"], filter={"a": "fig"}, refresh_ttl=True)["items"]] == ["long"]

# Namespaces.
store.put_item(["docs", "team0", "notes"], key="k", value={})
spaces = store.list_namespaces(prefix=["docs"])["namespaces"]
assert spaces == [["docs", "team0"], ["docs", "team0", "notes"], ["docs", "team1"]], spaces
assert store.list_namespaces(max_depth=1)["namespaces"] == [["docs"], ["docsother"], ["index"]]
deep = [["docs", "team0"], ["docs", "team0", "notes"], ["docs", "team1"], ["docsother"], ["index"]]
for depth in [3, 4, 8, 9, 100]:
    assert store.list_namespaces(max_depth=depth)["namespaces"] == deep, depth
assert store.list_namespaces(suffix=["notes"])["namespaces"] == [["docs", "team0", "notes"]]
assert store.list_namespaces(prefix=["*", "team1"])["namespaces"] == [["docs", "team1"]]
assert store.list_namespaces(prefix=["docs"], limit=1, offset=1)["namespaces"] == [["docs", "team0", "notes"]]

# A violated rule is refused with a code.
assert refused(lambda: store.put_item([], key="k", value={})) == (400, "INVALID_ARGUMENT")
assert refused(lambda: store.put_item(["a"], key="k", value=[1])) == (400, "INVALID_ARGUMENT")
assert refused(lambda: store.put_item(["a"], key="k", value={"x": "y" * (1 << 20)})) == (413, "PAYLOAD_TOO_LARGE")
assert refused(lambda: store.search_items([], filter={"n": {"$in": [1]}})) == (400, "INVALID_ARGUMENT")
assert refused(lambda: store.put_item(["a"], key="k", value={}, ttl=-1)) == (400, "INVALID_ARGUMENT")

# Projects are isolated.
other = Counted(get_sync_client(url=url, api_key=None, headers={"x-memory-project": "other"}).store)
assert other.search_items([])["items"] == []
other.put_item(["docs"], key="own", value={"n": 1})
assert other.get_item(["docs"], key="own")["value"] == {"n": 1} and store.get_item(["docs"], key="own") is None


async def asynchronously():
    """The same five calls with the package's asynchronous client."""
    store = Counted(get_client(url=url, api_key=None).store)
    await store.put_item(["async"], key="k", value={"say": "kettle"})
    assert (await store.get_item(["async"], key="k"))["value"] == {"say": "kettle"}
    assert [item["key"] for item in (await store.search_items(["async"], query="kettle"))["items"]] == ["k"]
    assert ["async"] in (await store.list_namespaces())["namespaces"]
    await store.delete_item(["async"], key="k")
    assert await store.get_item(["async"], key="k") is None


asyncio.run(asynchronously())
print(calls)
