"""Learn the weights of the retrieval features, and print their recall of the evidence of LoCoMo's questions.

    learn.py FOLDER                 the folder of conv-*.json; print the tables and write weights.json
    learn.py FOLDER --check         print the tables; exit with 1 if newly learned weights differ by more than TOLERANCE
    learn.py FOLDER --folds FILE    write weights, by the conversation left out, for evaluate.py; print nothing

Every fused figure is cross-validated: a conversation's questions use weights learned from the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
from corpus import STOP, locomo
from features import LANE_TOP, Index
from weights import FILE

VERSION = 1
# Terms of the sum: the smallest set found that no other feature here improves by more than chance.
FEATURES = """
lexical match near_match wide_lexical wide_static pairs
actor_named actor_match
statement capitals when_time_word date
match_asked static-1 static+1
""".split()
LANES = "lexical static match near_lexical near_static near_match wide_lexical wide_static session_lexical session_static coverage pairs".split()
DEPTHS = (5, 10, 20)
# Strength of the ridge penalty on the weights; between 1 and 8 the figures change by less than a point.
RIDGE = 3.0
# A memory far down by the plain sum of the lanes adds no information; relevant memories are always part of the training
# data.
LEARNED_FROM = 100
NEWTON_STEPS, ENOUGH = 30, 0.01
TOLERANCE = 0.02


class Question:
    """Feature values of one question's candidates: one row per candidate, one column for each of `names`."""

    def __init__(self, conversation, question, index, top):
        values, chosen = index.features(question["query"], top)
        self.conversation, self.category, self.count = conversation, question["category"], len(question["relevant"])
        self.names = list(values)
        self.rows = np.stack(list(values.values()), 1)[chosen].astype(np.float32)
        relevant = np.zeros(index.count, np.float32)
        relevant[question["relevant"]] = 1
        self.relevant = relevant[chosen]
        plain = self.rows[:, self.column(LANES)].sum(1)
        best = np.argsort(-plain, kind="stable")[:LEARNED_FROM]
        self.learned = np.union1d(best, np.flatnonzero(self.relevant))

    def column(self, names):
        return [self.names.index(name) for name in names]


def recall(scores, relevant, count):
    """Share of the `count` relevant memories among the best 5, 10, 20."""
    best = relevant[np.argsort(-scores, kind="stable")]
    return [best[:depth].sum() / count for depth in DEPTHS]


def fit(questions, names, ridge=RIDGE):
    """Weights that make the relevant memories probable under a softmax over each question's candidates; a convex loss,
    by Newton's method.

    Loss of a question: mean over its relevant memories of -log probability; of all: the sum, plus ridge / 2 times the
    squared length of the weights.
    """
    questions = [q for q in questions if q.relevant.any()]
    columns = questions[0].column(names)
    x = np.concatenate([q.rows[q.learned][:, columns] for q in questions]).astype(np.float64)
    target = np.concatenate([q.relevant[q.learned] / q.relevant.sum() for q in questions])
    sizes = [len(q.learned) for q in questions]
    starts = np.cumsum([0, *sizes])[:-1]
    of = np.repeat(np.arange(len(sizes)), sizes)

    def loss(weights):
        z = x @ weights
        top = np.maximum.reduceat(z, starts)
        e = np.exp(z - top[of])
        total = np.add.reduceat(e, starts)
        return (np.log(total) + top).sum() - target @ z + ridge / 2 * weights @ weights, e / total[of]

    weights = np.zeros(len(names))
    value, probability = loss(weights)
    for _ in range(NEWTON_STEPS):
        gradient = x.T @ (probability - target) + ridge * weights
        weighted = x * probability[:, None]
        means = np.add.reduceat(weighted, starts)
        curvature = x.T @ weighted - means.T @ means + ridge * np.eye(len(names))
        step, length = np.linalg.solve(curvature, gradient), 1.0
        while (tried := loss(weights - length * step))[0] > value - 1e-4 * length * gradient @ step and length > 1e-4:
            length /= 2
        weights, gained = weights - length * step, value - tried[0]
        value, probability = tried
        if gained < ENOUGH:
            break
    return weights


def cross_validate(questions, names):
    """Recall of each question with weights learned without its conversation."""
    found = np.zeros((len(questions), len(DEPTHS)))
    columns = questions[0].column(names)
    for conversation in sorted({q.conversation for q in questions}):
        weights = fit([q for q in questions if q.conversation != conversation], names)
        for number, q in enumerate(questions):
            if q.conversation == conversation:
                found[number] = recall(q.rows[:, columns] @ weights, q.relevant, q.count)
    return found


def choose_and_test(questions):
    """Recall of each question when both features and weights come from the other conversations: the two least
    informative features are dropped, until as many as FEATURES are left.
    """
    found = np.zeros((len(questions), len(DEPTHS)))
    for conversation in sorted({q.conversation for q in questions}):
        others, names = [q for q in questions if q.conversation != conversation], list(questions[0].names)
        while len(names) > len(FEATURES):
            spread = np.concatenate([q.rows[q.learned][:, q.column(names)] for q in others]).std(0)
            telling = np.argsort(np.abs(fit(others, names)) * spread)
            names = [names[i] for i in sorted(telling[min(2, len(names) - len(FEATURES)) :])]
        weights = fit(others, names)
        for number, q in enumerate(questions):
            if q.conversation == conversation:
                found[number] = recall(q.rows[:, q.column(names)] @ weights, q.relevant, q.count)
    return found


def line(label, found, note=""):
    print(f"{label:34}" + "".join(f"{value:8.3f}" for value in np.asarray(found).mean(0)) + f"   {note}", flush=True)


def read_all(folder, top):
    """Questions with their features, and recall of plain BM25 with and without the query's stop words."""
    questions, plain, no_stop = [], [], []
    for name, memories, asked in locomo(folder):
        index = Index(memories)
        for question in asked:
            questions.append(Question(name, question, index, top))
            words = index.fts.words(question["query"])
            relevant = np.isin(np.arange(index.count), question["relevant"]).astype(float)
            for kept, into in ((words, plain), ([w for w in words if w not in STOP] or words, no_stop)):
                terms = list(dict.fromkeys(map(index.fts.stem, kept)))
                into.append(recall(index.lexical(terms), relevant, len(question["relevant"])))
    return questions, plain, no_stop


def tables(folder, questions, plain, no_stop):
    print(f"{len(questions)} questions; recall of evidence at" + "".join(f"{depth:8}" for depth in DEPTHS))
    line("BM25, all words", plain)
    line("BM25, no stop words", no_stop)
    for lane in LANES:
        line(f"lane {lane}", [recall(q.rows[:, q.names.index(lane)], q.relevant, q.count) for q in questions])
    fused = cross_validate(questions, FEATURES)
    line(f"fused, candidates of {LANE_TOP} a lane", fused, f"{len(FEATURES)} features, cross-validated")
    everything, _, _ = read_all(folder, None)
    line("fused, every memory", cross_validate(everything, FEATURES))
    for category, kind in ((1, "several facts"), (2, "time"), (3, "open"), (4, "one fact")):
        line(f"fused, {kind}", fused[[q.category == category for q in questions]])
    for conversation in sorted({q.conversation for q in questions}):
        line(f"fused, {conversation}", fused[[q.conversation == conversation for q in questions]])
    line("fused, features chosen without it", choose_and_test(questions), f"{len(FEATURES)} features of {len(questions[0].names)}, for each conversation from the others")
    print("without one feature, learned anew; last, the change in the sum of the three")
    for name in FEATURES:
        without = cross_validate(questions, [other for other in FEATURES if other != name])
        line(f"  - {name}", without, f"{(without - fused).mean(0).sum():+.4f}")
    print("one more feature; last, the change in the sum of the three")
    for name in (name for name in questions[0].names if name not in FEATURES):
        more = cross_validate(questions, [*FEATURES, name])
        line(f"  + {name}", more, f"{(more - fused).mean(0).sum():+.4f}")


def main():
    if len(sys.argv) < 2 or sys.argv[2:3] not in ([], ["--check"], ["--folds"]) or len(sys.argv) != 2 + len(sys.argv[2:3]) + (sys.argv[2:3] == ["--folds"]):
        sys.exit(__doc__)
    questions, plain, no_stop = read_all(sys.argv[1], LANE_TOP)
    if sys.argv[2:3] == ["--folds"]:
        without = {name: fit([q for q in questions if q.conversation != name], FEATURES) for name in {q.conversation for q in questions}}
        folds = {name: dict(zip(FEATURES, (round(float(weight), 3) for weight in weights))) for name, weights in sorted(without.items())}
        Path(sys.argv[3]).write_text(json.dumps(folds, indent=2) + "\n")
        return
    weights = dict(zip(FEATURES, (round(float(weight), 3) for weight in fit(questions, FEATURES))))
    if sys.argv[2:]:
        kept = json.loads(FILE.read_text())["weights"]
        if kept.keys() != weights.keys() or any(abs(kept[name] - weights[name]) > TOLERANCE for name in weights):
            sys.exit(f"weights.json has {kept}, newly learned are {weights}")
    else:
        FILE.write_text(json.dumps({"version": VERSION, "ridge": RIDGE, "weights": weights}, indent=2) + "\n")
    tables(sys.argv[1], questions, plain, no_stop)


if __name__ == "__main__":
    main()
