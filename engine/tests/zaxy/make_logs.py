"""Writes logs with the PyPI package zaxy-memory, and beside each the events that the package reads back from it.

make_logs.py DIRECTORY [EVENTS]: small logs of every kind; with EVENTS, also `long.jsonl` with that many events.
"""

import json
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

warnings.simplefilter("ignore")
from zaxy.event import EventLog, verify_event_chain  # noqa: E402
from zaxy.lifecycle import build_compaction_completed_event  # noqa: E402

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def golden(log):
    log.append("goal.created", "user", {"title": "Ship it"}, "g", START)
    log.append("task.proposed", "planner", {"taskId": "task-0001", "title": "café"}, "g", START + timedelta(seconds=1))
    log.append("memory.reinforced", "zaxy", {}, "g", START + timedelta(seconds=2, microseconds=250000))


def odd_values(log):
    odd = {
        "integers": [0, -1, 10**30, 2**63, -(2**64)],
        "doubles": [0.0, -0.0, 0.1, 1e16, 1e15, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 123456789012345678.5],
        "text": 'quote " backslash \\ slash / tab \t nul \x00 delete \x7f separator \u2028 é 😀',
        "keys": {"\U00010000": 1, "\uff61": 2, "b": [], "a": {}},
        "literals": [True, False, None],
        "nested": [[[[{"deep": [1]}]]]],
    }
    for i in range(4):
        log.append("observation.recorded", "agent", {"content": f"number {i}", **odd}, "t", START + timedelta(seconds=i))


def legacy(log):
    # A type with an underscore makes the package write the legacy envelope for the rest of the log.
    log.append("memory.rolled_back", "user", {"reason": "café 😀", "weight": 1e22}, "t", START)
    odd_values(log)


def switched(log):
    golden(log)
    legacy(log)


def redacted(log):
    log.append("config.recorded", "user", {"api_key": "sk-abcdefghij", "list": [{"password": "x"}]}, "t", START)
    log.append("transcript.turn", "user", {"role": "user", "content": "my key is sk-abcdefghij"}, "t", START)


def forgettable(log):
    log.append("note.taken", "user", {"content": "private"}, "t", START, forgettable=True)
    log.append("note.taken", "user", {"content": "public"}, "t", START)


def caused(log):
    log.append_many(
        [
            {"event_type": "task.proposed", "actor": "a", "payload": {"title": "one"}, "timestamp": START, "id": "evt-1"},
            {
                "event_type": "task.completed",
                "actor": "b",
                "payload": {"summary": "done"},
                "timestamp": START,
                "id": "evt-2",
                "parent_event_id": "evt-1",
                "caused_by": ["evt-1", "é"],
            },
        ]
    )


def long_names(log):
    log.append("document.indexed", "a" * 200, {"path": "doc.md", "content": "text"}, "t" * 128, START)
    log.append("a." + "b" * 200, "x", {"content": "text"}, "t", START)


def compacted(log):
    """Does the same as the command `zaxy compact`, which needs packages that a log does not."""
    log.append("goal.created", "user", {"title": "Ship it again"}, "c", START)
    log.append("config.recorded", "user", {"api_key": "sk-abcdefghij", "\U00010000": 1, "\uff61": 2}, "c", START)
    log.append("note.taken", "user", {"weight": 1338253595894726.25, "large": 10**30, "small": 1e-7}, "c", START)
    log.append("note.taken", "user", {"content": "private"}, "c", START, forgettable=True)
    odd_values(log)
    caused_by = [{"event_type": "task.completed", "actor": "é", "payload": {"summary": "done"}, "thread": "c",
                  "timestamp": START, "id": "evt-1", "parent_event_id": "evt-0", "caused_by": ["evt-0", "é"]}]
    log.append_many(caused_by)
    events = log.read_all()
    log.path.write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")
    done = build_compaction_completed_event(session_id="compacted", mode="rewrite", status="succeeded",
                                            log_path="compacted.jsonl", event_count=len(events),
                                            output_path="compacted.jsonl", snapshot_path=None)
    log.append(done["event_type"], actor=done["actor"], payload=done["payload"], thread="compacted", timestamp=START)
    log.append("note.taken", "user", {"content": "after it was compacted"}, "c", START)


def long(log, events):
    for first in range(0, events, 1000):
        log.append_many(
            [
                {
                    "event_type": "transcript.turn",
                    "actor": "user",
                    "thread": "long",
                    "payload": {"role": "user", "turn_index": n, "content": f"turn {n} of a long talk"},
                    "timestamp": START + timedelta(seconds=n),
                }
                for n in range(first, min(first + 1000, events))
            ]
        )


def main():
    directory = Path(sys.argv[1])
    makers = [golden, odd_values, legacy, switched, redacted, forgettable, caused, long_names, compacted]
    logs = {maker.__name__: maker for maker in makers}
    if len(sys.argv) > 2:
        logs["long"] = lambda log: long(log, int(sys.argv[2]))
    for name, maker in logs.items():
        log = EventLog(directory / f"{name}.jsonl")
        maker(log)
        events = log.read_all()
        assert verify_event_chain(events).ok, name
        read = [event.model_dump(include={"seq", "timestamp", "type", "actor", "thread", "payload", "hash"}) for event in events]
        (directory / f"{name}.read.json").write_text(json.dumps(read))


main()
