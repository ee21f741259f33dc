"""Measures recall of evidence turns stored as items, compared with the same turns stored as memories.

    items.py --engine target/release/memory-engine CONVERSATIONS      start a separate engine on loopback

CONVERSATIONS is a folder of LoCoMo conversations, one JSON file each, as for evaluate.py. Each turn is stored five
times: as a memory with session, actor and time; as a memory with session and actor; as an item with session and actor;
as a memory with only its text; and as an item with only its text, like LangGraph's store. Prints recall@5, @10 and @20
of each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from evaluate import Engine, line, questions, recall, start


def save(engine, name, conversation):
    """Saves one turn in every form; returns the turn by its id in answers."""
    turns = {}

    def memory(body, kind):
        turns[engine.request("POST", "/v1/memories", {"project": f"{name}-{kind}", **body})["id"]] = turn["id"]

    for turn in conversation["turns"]:
        when = datetime.strptime(turn["time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=timezone.utc)
        text = f"{turn['speaker']}: {turn['text']}"
        said = {"session": str(turn["session"]), "actor": turn["speaker"]}
        item = {"namespace": ["conversations", name], "key": turn["id"], "value": {"text": text}}
        memory({"content": text, "occurred_at": when.isoformat().replace("+00:00", "Z"), **said}, "whole")
        memory({"content": text, **said}, "turns")
        engine.request("PUT", "/v1/items", {"project": f"{name}-turns", **item, **said})
        memory({"content": text}, "texts")
        engine.request("PUT", "/v1/items", {"project": f"{name}-texts", **item})
    return turns


def memories(kind):
    return lambda engine, name, query, turns: [turns[hit["id"]] for hit in engine.search(query, f"{name}-{kind}")[0]["items"]]


def items(kind):
    def ask(engine, name, query, _):
        body = {"project": f"{name}-{kind}", "namespace_prefix": ["conversations", name], "query": query, "limit": 20}
        return [item["key"] for item in engine.request("POST", "/v1/items/search", body)["items"]]

    return ask


WAYS = [
    ("memories with session, actor and time", memories("whole")),
    ("memories with session and actor", memories("turns")),
    ("items with session and actor", items("turns")),
    ("memories, text alone", memories("texts")),
    ("items, text alone, as LangGraph's store puts them", items("texts")),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("conversations")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = start(arguments.engine, folder)
        # Its output must be read, or the process blocks.
        subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            engine, data = Engine(url), []
            for path in sorted(Path(arguments.conversations).glob("*.json")):
                conversation = json.loads(path.read_text())
                data.append((path.stem, conversation, save(engine, path.stem, conversation)))
            print("| turns as | @5 | @10 | @20 |\n|---|---|---|---|")
            for way, ask in WAYS:
                rows = []
                for name, conversation, turns in data:
                    for query, _, evidence in questions(conversation, {turn["id"]: turn["id"] for turn in conversation["turns"]}):
                        rows.append((None, recall(ask(engine, name, query, turns), evidence)))
                line(way, rows)
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
