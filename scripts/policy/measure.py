"""Measures the policy: recall, precision and F2 on labelled sentences, false positives on clean ones.

    python3 -m venv venv && venv/bin/pip install -r scripts/policy/requirements.txt
    cargo build --release -p engine-core --example policy_spans
    venv/bin/python scripts/policy/measure.py [--judge PROGRAM] [--samples N] [--seed N] [--misses TYPE]

Sentences come from the templates of presidio-evaluator, filled in by its generator with a fixed seed: with the default
data ("international": people, streets and numbers of thirty countries) and with Faker's own people ("en_US").
Finds come from the engine's code, through the example `policy_spans`.

Scoring follows presidio-evaluator's SpanEvaluator: words that it skips (marks, "the", "St.") do not count; spans of one
kind separated only by such words are merged; a find counts if its intersection over union with the label, in
characters, is at least 0.9, regardless of the kind. "covered" is the share of the labelled characters that are
redacted, regardless of where the finds end.
F2 weighs recall four times as much as precision. A label is STREET_ADDRESS together with the place, region, country
and postcode next to it; places on their own are LOCATION.
"""

import argparse
import collections
import io
import contextlib
import json
import random
import re
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")

IOU = 0.9
STRUCTURED = ["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "DOMAIN_NAME"]
# Types that rules can find: the structured kinds, and addresses.
POLICY = STRUCTURED + ["ADDRESS", "US_DRIVER_LICENSE"]
KINDS = {
    "email": "EMAIL_ADDRESS", "phone": "PHONE_NUMBER", "credit-card": "CREDIT_CARD", "iban": "IBAN_CODE", "ssn": "US_SSN",
    "ip": "IP_ADDRESS", "url": "DOMAIN_NAME", "address": "ADDRESS", "driver-license": "US_DRIVER_LICENSE",
    "date-of-birth": "DATE_TIME", "name": "PERSON",
}
PLACES = {"STREET_ADDRESS", "GPE", "ZIP_CODE"}


def sentences(samples, seed, people):
    """Texts with labels [start, end, type]."""
    from presidio_evaluator.data_generator import PresidioSentenceFaker

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        generator = PresidioSentenceFaker("en_US", lower_case_ratio=0.05, base_records=people, random_seed=seed)
        results = generator.generate_new_fake_sentences(samples)
    for result in results:
        labels = [[s.start_position, s.end_position, s.entity_type] for s in result.spans if s.end_position > s.start_position]
        # For a person without a region, the generator writes "nan", which no real address contains.
        if any(re.search(r"\bnan\b", str(s.entity_value)) for s in result.spans):
            continue
        # The generator counts characters before it converts the sentence to lower case, which changes the length of
        # some letters.
        if all(len(s.entity_value) == s.end_position - s.start_position for s in result.spans):
            yield result.full_text, with_addresses(result.full_text, sorted(labels))


def fakers_people(count, seed):
    """People invented by Faker, so that the labels do not depend on another list."""
    from faker import Faker

    fake = Faker("en_US")
    fake.seed_instance(seed)
    return [{"first_name": fake.first_name(), "email": fake.email()} for _ in range(count)]


SKIPPED = set()


def counting(text, start=0, end=None):
    """The characters that count: those of words not skipped by presidio-evaluator (marks, "the", "St.", …)."""
    if not SKIPPED:
        from presidio_evaluator.evaluation.skipwords import get_skip_words

        SKIPPED.update(get_skip_words())
    part = text[start:end].replace("\\n", "\n\n")
    words = re.finditer(r"[^\W_]+(?:[.@'][^\W_]+)*\.?|_|[^\w\s]", part)
    kept = (word for word in words if word.group().lower() not in SKIPPED)
    return {start + at for word in kept for at in range(word.start(), word.end()) if part[at].isalnum()}


def joined(text, labels):
    """Merges labels of one type that are separated only by skipped words and marks."""
    out = []
    for start, end, kind in labels:
        if out and out[-1][2] == kind and not counting(text, out[-1][1], start):
            out[-1][1] = end
        else:
            out.append([start, end, kind])
    return out


def with_addresses(text, labels):
    """Makes a street and the places next to it an ADDRESS; other places are LOCATION."""
    places = []
    for start, end, kind in labels:
        if kind not in PLACES:
            continue
        between = text[places[-1][1]:start].replace("\\n", " ") if places else "x"
        if places and not any(character.isalnum() for character in between):
            places[-1][1] = end
        else:
            places.append([start, end, "ADDRESS"])
    streets = [(s, e) for s, e, kind in labels if kind == "STREET_ADDRESS"]
    zips = [(s, e) for s, e, kind in labels if kind == "ZIP_CODE"]
    for place in places:
        inside = lambda spans: any(place[0] <= s and e <= place[1] for s, e in spans)
        place[2] = "ADDRESS" if inside(streets) else "ZIP_CODE" if inside(zips) else "LOCATION"
    return sorted(places + [label for label in labels if label[2] not in PLACES])


def judge(program, texts, kinds):
    """The policy's finds in each text."""
    given = "".join(json.dumps(text) + "\n" for text in texts)
    ran = subprocess.run([program, *kinds], input=given, capture_output=True, text=True, check=True, timeout=1800)
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == len(texts), "expected one line for each text"
    return found


def f2(recall, precision):
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


class Score:
    def __init__(self):
        self.labels = self.hit = self.finds = self.right = self.chars = self.covered = 0

    def recall(self):
        return self.hit / self.labels if self.labels else 0.0

    def precision(self):
        return self.right / self.finds if self.finds else 0.0

    def row(self, name):
        return (f"| {name} | {self.labels} | {self.recall():.3f} | {self.precision():.3f} | "
                f"{f2(self.recall(), self.precision()):.3f} | {self.covered / max(self.chars, 1):.3f} |")


def score(data, found, types, misses=None):
    """Scores by type, and for all of `types` together. Labels of other types are ignored."""
    each = collections.defaultdict(Score)
    whole = Score()
    for (text, labels), rows in zip(data, found):
        part = lambda spans: [(kind, counting(text, s, e), s, e) for s, e, kind in spans]
        wanted = [label for label in part(joined(text, [l for l in labels if l[2] in types])) if label[1]]
        others = part([label for label in labels if label[2] not in types])
        finds = part(joined(text, [[s, e, KINDS.get(kind, kind.upper())] for s, e, kind, _ in rows]))
        fits = lambda a, b: len(a[1] & b[1]) >= IOU * len(a[1] | b[1])
        redacted = set().union(*(find[1] for find in finds))
        for label in wanted:
            hit = any(fits(label, find) for find in finds)
            for scores in (each[label[0]], whole):
                scores.labels += 1
                scores.hit += hit
                scores.chars += len(label[1])
                scores.covered += len(label[1] & redacted)
            if not hit and misses in (label[0], "all"):
                print("missed", label[0], repr(text[label[2]:label[3]]), "in", repr(text[max(0, label[2] - 50):label[3] + 20]), rows)
        for find in finds:
            right = any(fits(label, find) for label in wanted)
            if not right and any(2 * len(label[1] & find[1]) > len(find[1]) for label in others):
                continue
            for scores in (each[find[0]], whole):
                scores.finds += 1
                scores.right += right
            if not right and misses in (find[0], "all"):
                print("wrong", find[0], repr(text[find[2]:find[3]]), "in", repr(text[max(0, find[2] - 50):find[3] + 20]))
    return each, whole


def table(title, data, found, types, misses=None):
    each, whole = score(data, found, types, misses)
    print(f"\n{title}\n\n| type | labels | recall | precision | F2 | covered |\n|---|---|---|---|---|---|")
    for kind in types:
        print(each[kind].row(kind))
    print(whole.row("**together**"))
    return each, whole


def clean_texts():
    """Texts about systems and code that ship with Python: no personal data, except for e-mail addresses. Each is about
    the size of a memory.
    """
    import importlib
    import inspect
    import pkgutil

    names = sorted(m.name for m in pkgutil.iter_modules() if m.name in sys.stdlib_module_names)
    skip = {"antigravity", "this", "idlelib", "turtle", "turtledemo", "lib2to3", "test"}
    texts = set()
    for name in names:
        if name in skip or name.startswith("_"):
            continue
        try:
            module = importlib.import_module(name)
        except Exception:
            continue
        for _, item in [("", module), *inspect.getmembers(module)]:
            for doc in [inspect.getdoc(item), *[inspect.getdoc(m) for _, m in inspect.getmembers(item) if inspect.isroutine(m)]]:
                texts.update(part.strip() for part in re.split(r"\n\s*\n", doc or "") if 40 <= len(part.strip()) <= 1000)
    texts = sorted(texts)
    random.Random(7).shuffle(texts)
    return texts


def false_positives(program, name, texts, kinds, show=False):
    # Documentation contains real addresses of its authors, which are not false positives.
    texts = [text for text in texts if not re.search(r"\w@\w[\w.-]*\.\w", text)]
    found = judge(program, texts, kinds)
    wrong = [(text, rows) for text, rows in zip(texts, found) if rows]
    counts = collections.Counter(row[3] for _, rows in wrong for row in rows)
    rate = 1000 * len(wrong) / len(texts)
    print(f"| {name} | {len(texts)} | {rate:.2f} | {', '.join(f'{k} {v}' for k, v in counts.most_common()) or 'none'} |")
    if show:
        for text, rows in wrong:
            print("   ", [(row[3], text[row[0]:row[1]]) for row in rows], repr(text[:160]))
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", default="target/release/examples/policy_spans", help="the example policy_spans")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--misses", help="print missed labels and wrong finds of this type, or of all")
    parser.add_argument("--show", action="store_true", help="print false positives")
    parser.add_argument("--texts", nargs="*", default=[], metavar="FILE", help="more clean texts: JSON strings, one per line")
    parser.add_argument("--fixture", metavar="FILE", help="only write labelled sentences with Faker's people to this file")
    options = parser.parse_args()
    if options.fixture:
        return write_fixture(options.fixture, options.seed)
    for name, people in [("international", None), ("en_US", fakers_people(500, options.seed))]:
        data = list(sentences(options.samples, options.seed, people))
        texts = [text for text, _ in data]
        everything = judge(options.judge, texts, ["all"])
        print(f"\n## {name}: {len(data)} sentences, seed {options.seed}")
        table("Structured kinds, all switched on", data, everything, STRUCTURED, options.misses)
        table("What rules look for, all switched on", data, everything, POLICY, options.misses if options.misses not in STRUCTURED else None)
        table("The same with what is on by default", data, judge(options.judge, texts, []), POLICY)
        every = sorted({label[2] for _, labels in data for label in labels})
        table("Every type, also those that need a language model", data, everything, every)
    print("\n## Clean texts\n\n| texts | number | texts with a find, of 1,000 | by detector |\n|---|---|---|---|")
    texts = clean_texts()
    false_positives(options.judge, "documentation of Python's library, default", texts, [], options.show)
    false_positives(options.judge, "the same, all switched on", texts, ["all"])
    for file in options.texts:
        with open(file, encoding="utf-8") as lines:
            more = [json.loads(line) for line in lines]
        false_positives(options.judge, f"{file}, default", more, [], options.show)
    return 0


def write_fixture(path, seed):
    """Writes a small labelled set without data from presidio-evaluator's lists of people and companies."""
    data = list(sentences(4000, seed, fakers_people(500, seed)))
    keep = [row for row in data if row[1] and not any(kind in ("ORGANIZATION", "NRP") for _, _, kind in row[1])]
    with open(path, "w", encoding="utf-8") as out:
        for text, labels in keep[:600]:
            out.write(json.dumps({"text": text, "labels": labels}, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
