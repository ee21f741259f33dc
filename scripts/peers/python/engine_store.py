"""LangGraph's stores on an engine: replaces InMemoryStore and SqliteStore.

Each store is a separate project. Requests of the suites to a store's own database or vectors are not supported.
"""

import os
import uuid
from contextlib import contextmanager
from datetime import datetime

import counted
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
)

TIMEOUT_S = 30.0
# Stores on the same file share one project.
PROJECTS = {}


def _time(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _fields(item):
    return {
        "namespace": tuple(item["namespace"]),
        "key": item["key"],
        "value": item["value"],
        "created_at": _time(item["created_at"]),
        "updated_at": _time(item["updated_at"]),
    }


class EngineStore(BaseStore):
    supports_ttl = True

    def __init__(self, *, index=None, ttl=None, project=None):
        self.index_config = index
        self.ttl_config = ttl
        self.embeddings = (index or {}).get("embed")
        headers = {"x-memory-project": project or f"peers-{uuid.uuid4().hex}"}
        self._client = counted.client(base_url=os.environ["ENGINE_URL"], headers=headers, timeout=TIMEOUT_S)

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string, *, index=None, ttl=None):
        project = None if conn_string == ":memory:" else PROJECTS.setdefault(conn_string, f"peers-{uuid.uuid4().hex}")
        yield cls(index=index, ttl=ttl, project=project)

    def setup(self):
        pass

    def batch(self, ops):
        return [self._one(op) for op in ops]

    async def abatch(self, ops):
        return self.batch(ops)

    def _one(self, op):
        match op:
            case PutOp():
                return self._put(op)
            case GetOp():
                return self._get(op)
            case SearchOp():
                return self._search(op)
            case ListNamespacesOp():
                return self._namespaces(op)
        raise TypeError(op)

    def _call(self, method, path, **arguments):
        response = self._client.request(method, path, **arguments)
        if response.is_error:
            raise ValueError(response.text)
        return response.json() if response.content else None

    @staticmethod
    def _asked(op, body):
        return body if op.refresh_ttl is None else body | {"refresh_ttl": op.refresh_ttl}

    def _put(self, op):
        body = {"namespace": list(op.namespace), "key": op.key}
        if op.value is None:
            return self._call("DELETE", "/store/items", json=body)
        body["value"] = op.value
        index = op.index
        if index is None and self.index_config and self.index_config.get("fields"):
            index = [field for field in self.index_config["fields"] if field != "$"] or None
        if index is not None:
            body["index"] = index
        if op.ttl is not None:
            body["ttl"] = op.ttl
        return self._call("PUT", "/store/items", json=body)

    def _get(self, op):
        item = self._call("GET", "/store/items", params=self._asked(op, {"namespace": ".".join(op.namespace), "key": op.key}))
        return Item(**_fields(item)) if item else None

    def _search(self, op):
        body = {"namespace_prefix": list(op.namespace_prefix), "limit": op.limit, "offset": op.offset}
        if op.filter:
            body["filter"] = op.filter
        if op.query:
            body["query"] = op.query
        items = self._call("POST", "/store/items/search", json=self._asked(op, body))["items"]
        return [SearchItem(**_fields(item), score=item.get("score")) for item in items]

    def _namespaces(self, op):
        body = {"limit": op.limit, "offset": op.offset}
        if op.max_depth is not None:
            body["max_depth"] = op.max_depth
        for condition in op.match_conditions or ():
            body[condition.match_type] = list(condition.path)
        found = self._call("POST", "/store/namespaces", json=body)["namespaces"]
        return [tuple(namespace) for namespace in found]
