"""Measures recall of evidence turns through a running engine's API, compared with plain BM25 in the same run.

    evaluate.py --engine target/release/memory-engine CONVERSATIONS      start a separate engine on loopback
    evaluate.py --url http://127.0.0.1:8080 CONVERSATIONS                use a running, empty one

CONVERSATIONS is a folder of LoCoMo conversations, one JSON file each. Every turn is saved as one memory: its
conversation is the project, its speaker the actor. Prints recall@5, @10 and @20 of the evidence turns for each lane
alone, for the defaults without each feature, for the defaults, and for weights learned without the queried
conversation (--folds), with the number of tokens in the answers. Needs only Python.
"""

import argparse
import http.client
import json
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
STOP = frozenset((HERE.parents[1] / "engine/core/src/retrieval/stopwords.txt").read_text().split())
AT = (5, 10, 20)
LANES = ("lexical", "static", "near_lexical", "near_static", "match", "near_match", "session_lexical", "session_static")
KINDS = {1: "several facts", 2: "time", 3: "open", 4: "one fact"}


class Engine:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def request(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, {"content-type": "application/json"} if text else {})
        answer = self.connection.getresponse()
        found = json.loads(answer.read())
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {found}")
        return found

    def search(self, query, project, limit=20):
        words = urllib.parse.urlencode({"q": query, "project": project, "limit": limit})
        started = time.perf_counter()
        found = self.request("GET", f"/v1/search?{words}")
        return found, time.perf_counter() - started

    def set_weights(self, weights):
        if weights is None:
            self.request("DELETE", "/v1/retrieval/weights")
        else:
            self.request("PUT", "/v1/retrieval/weights", {"weights": weights})


def start(program, folder):
    """Starts an engine on a free port; returns it and its address."""
    process = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", folder],
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(60, process.kill)
    limit.start()
    for said in map(json.loads, process.stderr):
        if said.get("message") == "serving":
            limit.cancel()
            return process, f"http://{said['listen']}"
    sys.exit("the engine did not start")


def save(engine, project, conversation):
    """Saves every turn; returns turn → id of its memory."""
    ids = {}
    for turn in conversation["turns"]:
        when = datetime.strptime(turn["time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=timezone.utc)
        memory = {
            "content": f"{turn['speaker']}: {turn['text']}",
            "project": project,
            "session": str(turn["session"]),
            "actor": turn["speaker"],
            "occurred_at": when.isoformat().replace("+00:00", "Z"),
        }
        ids[turn["id"]] = engine.request("POST", "/v1/memories", memory)["id"]
    return ids


def questions(conversation, known):
    """Query, kind and evidence of every question whose evidence is saved; `known` maps turns to their ids in
    answers.
    """
    for question in conversation["questions"]:
        evidence = {known[turn] for turn in question["evidence"] if turn in known}
        if evidence:
            yield question["question"], question["category"], evidence


def recall(found, evidence):
    return [len(evidence & set(found[:k])) / len(evidence) for k in AT]


def mean(rows):
    return [statistics.fmean(column) for column in zip(*rows)]


def plain_bm25(conversation, drop_stop_words):
    db = sqlite3.connect(":memory:")
    db.execute("create virtual table f using fts5(id unindexed, text, tokenize='porter unicode61')")
    db.executemany("insert into f values (?, ?)", ((t["id"], f"{t['speaker']}: {t['text']}") for t in conversation["turns"]))
    rows = []
    for query, _, evidence in questions(conversation, {turn["id"]: turn["id"] for turn in conversation["turns"]}):
        words = re.findall(r"\w+", query.lower())
        words = [word for word in words if not drop_stop_words or word not in STOP] or words
        any_word = " OR ".join(f'"{word}"' for word in words)
        found = [row[0] for row in db.execute("select id from f where f match ? order by rank limit 20", (any_word,))]
        rows.append(recall(found, evidence))
    return rows


def ask(engine, data, weights_of):
    """Kind and recall of every question, seconds of every search, and characters returned at each depth."""
    rows, seconds, shown = [], [], []
    for name, conversation, ids in data:
        engine.set_weights(weights_of(name))
        for query, kind, evidence in questions(conversation, ids):
            found, took = engine.search(query, name)
            if found.get("degraded"):
                sys.exit(f"an answer was degraded, so the figures would not be representative: {found['degraded']}")
            seconds.append(took)
            shown.append([sum(len(item["snippet"]) for item in found["items"][:k]) for k in AT])
            rows.append((kind, recall([item["id"] for item in found["items"]], evidence)))
    return rows, seconds, shown


def line(name, rows):
    figures = mean([row for _, row in rows])
    print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)
    return figures


def measure(engine, arguments):
    data = []
    for path in sorted(Path(arguments.conversations).glob("*.json")):
        conversation = json.loads(path.read_text())
        data.append((path.stem, conversation, save(engine, path.stem, conversation)))
    count = sum(1 for _, conversation, ids in data for _ in questions(conversation, ids))
    print(f"{len(data)} conversations, {sum(len(ids) for *_, ids in data)} memories, {count} questions\n")
    print("| ranked by | @5 | @10 | @20 |\n|---|---|---|---|")
    for name, drop in (("plain BM25 (FTS5, any word)", False), ("the same without stop words", True)):
        line(name, [(None, row) for _, conversation, _ in data for row in plain_bm25(conversation, drop)])
    default = engine.request("GET", "/v1/retrieval/weights")["weights"]
    beside = {name: weight for name, weight in default.items() if name in ("exact", "graph")}
    if not arguments.quick:
        for lane in LANES:
            line(f"`{lane}` alone", ask(engine, data, lambda _, lane=lane: {lane: 1.0})[0])
        for feature in sorted(set(default) - set(beside)):
            without = {name: weight for name, weight in default.items() if name != feature}
            line(f"defaults without `{feature}`", ask(engine, data, lambda _, without=without: without)[0])
    rows, seconds, shown = ask(engine, data, lambda _: None)
    figures = line("**defaults** (learned from all of them)", rows)
    if arguments.folds:
        folds = json.loads(Path(arguments.folds).read_text())
        rows, seconds, shown = ask(engine, data, lambda name: {**folds[name], **beside})
        figures = line("**learned without the conversation that is asked**", rows)
    for kind, name in KINDS.items():
        own = [row for row in rows if row[0] == kind]
        if own:
            line(f"… {name} ({len(own)} questions)", own)
    # A token is about four characters.
    print(f"\nTokens injected at 5, 10, 20: {', '.join(f'{characters / 4:.0f}' for characters in mean(shown))}")
    seconds.sort()
    print(f"A search: median {1e3 * seconds[count // 2]:.1f} ms, 95th percentile {1e3 * seconds[count * 95 // 100]:.1f} ms")
    engine.set_weights(None)
    return all(found >= least for found, least in zip(figures, arguments.least or (0, 0, 0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", help="program to start")
    parser.add_argument("--url", help="address of a running engine")
    parser.add_argument("--folds", help="JSON file with weights, by the conversation left out when they were learned")
    parser.add_argument("--quick", action="store_true", help="skip lanes and ablation")
    parser.add_argument("--least", type=float, nargs=3, help="fail if recall@5, @10 or @20 of the last complete row is lower")
    parser.add_argument("conversations")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = (None, arguments.url) if arguments.url else start(arguments.engine, folder)
        try:
            reached = measure(Engine(url), arguments)
        finally:
            if process:
                process.terminate()
                process.wait(30)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
