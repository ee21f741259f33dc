"""A pytest plugin: replaces a suite's own store with an engine before the suite is loaded."""

import os

import counted
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    before = counted.made
    item.user_properties.append(("asked", lambda: counted.made - before))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.user_properties = [(name, value() if callable(value) else value) for name, value in item.user_properties]
    return report


def pytest_configure(config):
    suite = os.environ["PEERS_SUITE"]
    if suite.startswith("langgraph"):
        from engine_store import EngineStore

        if suite == "langgraph-memory":
            import langgraph.store.memory as module

            module.InMemoryStore = EngineStore
        else:
            import langgraph.store.sqlite as module

            module.SqliteStore = EngineStore
    if suite == "anthropic-memory-tool":
        import anthropic.lib.tools._beta_builtin_memory_tool as module
        from engine_memory_tool import AsyncEngineMemoryTool, EngineMemoryTool

        module.BetaLocalFilesystemMemoryTool = EngineMemoryTool
        module.BetaAsyncLocalFilesystemMemoryTool = AsyncEngineMemoryTool
