"""A plugin of pytest: before a suite is read, an engine stands where its own store stood."""

import os


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
