"""The learned weights, and the score computed with them."""

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "engine/core/src/retrieval/weights.json"


def read():
    return json.loads(FILE.read_text())["weights"]


def score(features):
    """Sum of weight times feature, for every memory."""
    return sum(weight * features[name] for name, weight in read().items())
