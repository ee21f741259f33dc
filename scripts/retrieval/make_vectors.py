"""Write the test vectors of the features: a small project; for each query, every feature and score of each memory.

    make_vectors.py          write engine/core/tests/fixtures/retrieval/features.json
    make_vectors.py --check  compare instead
"""

import json
import sys
from datetime import datetime

from corpus import HERE
from features import Index
from weights import read, score

FIXTURE = HERE.parents[1] / "engine" / "core" / "tests" / "fixtures" / "retrieval" / "features.json"
FIRST, SECOND = "2026-03-02T09:30:00", "2026-04-20T16:00:00"
MEMORIES = [
    ("first", "Builder", FIRST, "The volume of the billing database filled up yesterday, so I paused the nightly import."),
    ("first", "Reviewer", FIRST, "How long did the import take before you paused it?"),
    ("first", "Builder", FIRST, "About 40 minutes. It copies every invoice from Lisbon and Porto into one table!"),
    ("first", "Reviewer", FIRST, "Please move it to the new cluster, then. [shared file: a chart of disk use]"),
    ("first", "Builder", FIRST, "Done: the import runs on the new cluster now, with 200 GiB of disk."),
    ("first", "Reviewer", FIRST, "Which backup did you keep? [shared file: a list]"),
    ("second", "Reviewer", SECOND, "I changed the retention of the invoices to two years last week."),
    ("second", "Builder", SECOND, "Why two years?"),
    ("second", "Reviewer", SECOND, "The auditors in Madrid asked for it, and the disk is large enough."),
    ("second", "Builder", SECOND, "Good. The café menu page is slow, though: its cache never expires."),
    ("second", "Reviewer", SECOND, "Then set the cache to expire after an hour, as we did for the search page."),
    (None, None, FIRST, "Runbook: when the disk of the billing database is full, pause the import and grow the volume."),
    (None, None, None, "დისკი სავსეა, იმპორტი შეჩერებულია."),
]
QUERIES = [
    "When did Builder pause the import?",
    "What did the reviewer change in April 2026?",
    "How big is the disk of the new cluster?",
    "Why is it?",
    "დისკი kubelet Überlauf",
    "What happened on March 3, 2026 with Reviewer and Builder?",
]
DIGITS = 6


def memory(session, actor, time, text):
    found = {"session": session, "actor": actor, "time": time, "text": text}
    return {name: value for name, value in found.items() if value is not None}


def main():
    memories = [memory(*row) for row in MEMORIES]
    index = Index([one | ({"time": datetime.fromisoformat(one["time"])} if "time" in one else {}) for one in memories])
    rounded = lambda values: [round(float(value), DIGITS) for value in values]  # noqa: E731
    queries = []
    for query in QUERIES:
        features, chosen = index.features(query)
        kept, named = index.content(query)
        used = {name: rounded(features[name]) for name in read()}
        queries.append(
            {"query": query, "kept": kept, "named": sorted(named), "trust": round(float(index.trust(kept)), DIGITS)}
            | {"candidates": [int(c) for c in chosen], "features": used, "scores": rounded(score(features))}
        )
    lines = ['{"memories": [', ",\n".join("  " + json.dumps(one) for one in memories), '], "weights": ' + json.dumps(read()) + ","]
    lines += ['"queries": [', ",\n".join(json.dumps(one, indent=None).replace('"features"', '\n  "features"').replace('], "', '],\n   "') for one in queries), "]}"]
    made = "\n".join(lines) + "\n"
    if sys.argv[1:] != ["--check"]:
        FIXTURE.parent.mkdir(parents=True, exist_ok=True)
        FIXTURE.write_text(made)
    elif FIXTURE.read_text() != made:
        sys.exit(f"{FIXTURE} differs from the computed vectors")


if __name__ == "__main__":
    main()
