"""Measures the policy on the test data of other projects: true positives found, declared false positives blocked.

    cargo build --release -p engine-core --example policy_spans
    python3 scripts/policy/peers.py --gitleaks DIR --trufflehog DIR --detect-secrets DIR --presidio DIR
        [--judge PROGRAM] [--half dev|unseen] [--rules] [--misses RULE] [--json FILE]

Each DIR is a local copy of that project's repository. Only the Go modules that `go run` needs to compile gitleaks'
rules are downloaded, and nothing that is read is stored. Each of the four is optional.

* gitleaks: its own generator is run with two files replaced (`go run -overlay`): one prints the samples of a rule
  instead of checking them, and one generates secrets from patterns with a fixed seed.
* trufflehog: the cases of the detectors' pattern tests, read from the source (samples/go_tests.go) without running it.
* detect-secrets and presidio: the parameters of the tests, by importing the test files with a stub for pytest; no test
  is run.

Rules are split into two halves, by a hash of the peer's and the rule's name: one was examined while the detectors were
written (dev), the other was not (unseen). True positives of the unseen half are printed only on request.

A rule is of the class "form" if its pattern needs nothing but the secret's own form, and "words" if it requires the
vendor's name beside it. A declared false positive is wrong for the rule that declares it; if another rule of gitleaks
(from its complete default configuration) finds a secret in it, it is counted separately. A find counts if a part of the
text is refused or redacted and, where the peer identifies the secret, lies in it or around it.
"""

import argparse
import collections
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import unittest.mock

HERE = pathlib.Path(__file__).parent / "samples"
# Kinds of personal data by the file of Presidio's tests. Recognizers of other kinds are a documented difference.
PRESIDIO_KINDS = {
    "email": {"email"}, "credit_card": {"credit-card"}, "iban": {"iban"}, "us_ssn": {"ssn"}, "us_itin": {"ssn"}, "ip": {"ip"},
    "crypto": {"crypto"}, "phone": {"phone"}, "url": {"url", "email"}, "us_passport": {"passport"}, "us_bank": {"bank-account"},
    "us_driver_license": {"driver-license"}, "ph_mobile_number": {"phone"}, "tr_phone_number": {"phone"},
    "aba_routing": {"bank-account"},
}
# Modules of detect-secrets and Presidio that their tests import but the parameters do not need.
OWN_MODULES = {"detect_secrets", "testing", "tests", "presidio_analyzer", "responses", "requests"}
# Rules of detect-secrets that depend on the name in front of a value.
BY_WORDS = {"keyword", "ibm_cloud_iam", "ibm_cos_hmac", "softlayer", "cloudant"}
# Presidio scores a match that only has the right length below this value, and requires context words beside it.
PRESIDIO_SURE = 0.4


def half(peer, rule):
    return "unseen" if hashlib.sha256(f"{peer}/{rule}".encode()).digest()[0] & 1 else "dev"


def case(peer, rule, text, positive, kind, want=(), note=""):
    return {"peer": peer, "rule": rule, "text": text, "positive": positive, "class": kind, "want": [w for w in want if w],
            "note": note, "half": half(peer, rule)}


def run_gitleaks(copy, texts=None):
    """The output lines of the local copy's generator: its samples, or, with texts, the rules that match each text."""
    copy = pathlib.Path(copy).resolve()
    replaced = {"cmd/generate/config/utils/validate.go": "gitleaks_validate.go", "cmd/generate/secrets/regen.go": "gitleaks_regen.go"}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        overlay = folder / "overlay.json"
        overlay.write_text(json.dumps({"Replace": {str(copy / old): str((HERE / new).resolve()) for old, new in replaced.items()}}))
        given = folder / "texts.jsonl"
        given.write_text("".join(json.dumps(text) + "\n" for text in texts or []))
        run = ["go", "run", "-overlay", str(overlay), ".", str(folder / "unused.toml")]
        environment = {**os.environ, "PEER_TEXTS": "" if texts is None else str(given)}
        ran = subprocess.run(run, cwd=copy / "cmd/generate/config", env=environment, capture_output=True, text=True, timeout=900)
    if ran.returncode or not ran.stdout:
        sys.exit(f"go run in {copy} failed: {ran.stderr[-2000:]}")
    return [json.loads(line) for line in ran.stdout.splitlines() if line[:1] in "{["]


def gitleaks(copy):
    rows = {json.dumps(row, sort_keys=True) for row in run_gitleaks(copy)}
    for row in map(json.loads, sorted(rows)):
        yield case("gitleaks", row["rule"], row["text"], bool(row["want"]), "words" if row["words"] else "form")


def second_opinions(copy, cases):
    """Marks declared false positives in which another rule of gitleaks finds a secret: they are wrong only for one
    rule.
    """
    false = [case for case in cases if not case["positive"] and case["peer"] != "presidio"]
    for case, rules in zip(false, run_gitleaks(copy, [case["text"] for case in false]), strict=True):
        case["others"] = rules


def trufflehog(copy):
    root = pathlib.Path(copy) / "pkg/detectors"
    folders = sorted(str(folder.relative_to(root)) for folder in root.glob("**/") if folder != root)
    program = str((HERE / "go_tests.go").resolve())
    ran = subprocess.run(["go", "run", program, *folders], cwd=root, capture_output=True, text=True, timeout=900)
    if ran.returncode:
        sys.exit(f"go run of {program} failed: {ran.stderr[-2000:]}")
    print(f"trufflehog: {ran.stderr.strip()}", file=sys.stderr)
    for row in map(json.loads, ran.stdout.splitlines()):
        rule = row["rule"].split("/")[0]
        yield case("trufflehog", rule, row["text"], bool(row["want"]), "words" if row["words"] else "form", row["want"], row["name"])


def parameters(path):
    """(names, rows, test) of each parametrised test of a file, which is imported with stubs for missing modules."""
    found = []

    def parametrize(names, rows, **_):
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

        def mark(test):
            rows_now = [row if isinstance(row, tuple) and len(names) > 1 else (row,) if len(names) == 1 and not isinstance(row, tuple) else row for row in rows]
            found.append((names, rows_now, getattr(test, "__name__", "")))
            return test

        return mark

    pytest = types.ModuleType("pytest")
    pytest.mark = unittest.mock.MagicMock()
    pytest.mark.parametrize = parametrize
    pytest.fixture = lambda *a, **k: a[0] if a and callable(a[0]) else lambda function: function
    pytest.param = lambda *values, **_: values
    pytest.raises = pytest.skip = pytest.importorskip = unittest.mock.MagicMock()

    class Absent:
        """Provides stubs for the project's own modules, and for every module that cannot be found."""

        def __init__(self, first):
            self.first = first

        def find_spec(self, name, path=None, target=None):
            if self.first and name.split(".")[0] not in OWN_MODULES:
                return None
            return importlib.util.spec_from_loader(name, self)

        def create_module(self, spec):
            module = unittest.mock.MagicMock(name=spec.name)
            module.__path__, module.__spec__ = [], spec
            return module

        def exec_module(self, module):
            pass

    before, own, absent = dict(sys.modules), Absent(True), Absent(False)
    sys.modules["pytest"] = pytest
    sys.meta_path.insert(0, own)
    sys.meta_path.append(absent)
    try:
        spec = importlib.util.spec_from_file_location("peer_test", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as fault:
        print(f"{path.name} is skipped: {fault!r}", file=sys.stderr)
    finally:
        sys.meta_path.remove(own)
        sys.meta_path.remove(absent)
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        sys.modules.update(before)
    return found


def detect_secrets(copy):
    root = pathlib.Path(copy)
    verdicts = collections.defaultdict(set)
    rows_of = {}
    for path in sorted((root / "tests/plugins").glob("*_test.py")):
        rule = path.stem.removesuffix("_test")
        for names, rows, test in parameters(path):
            if "find" in test or "get_secret" in test or "verify" in test or rule in ("base", "ip_public"):
                continue
            for row in rows:
                named = dict(zip(names, row if isinstance(row, tuple) else (row,)))
                text = next((named[n] for n in ("line", "payload", "content", "file_content", "secret", "token", "content_to_format") if isinstance(named.get(n), str)), None)
                if text is None:
                    continue
                verdict = next((named[n] for n in ("should_flag", "expected_secret", "expected_output", "is_flagged", "should_be_caught", "secrets_type", "expected") if n in named), True)
                verdicts[rule, text].add(bool(verdict))
                rows_of[rule, text] = verdict if isinstance(verdict, str) else ""
    for (rule, text), said in verdicts.items():
        if len(said) > 1:
            continue  # one text, flagged in files of one language and not of another
        kind = "entropy alone" if rule == "high_entropy_strings" else "words" if rule in BY_WORDS else "form"
        yield case("detect-secrets", rule, text, said == {True}, kind, [rows_of[rule, text]])


def presidio(copy):
    root = pathlib.Path(copy) / "presidio-analyzer"
    for path in sorted((root / "tests").glob("test_*_recognizer.py")):
        rule = path.stem.removeprefix("test_").removesuffix("_recognizer")
        for names, rows, test in parameters(path):
            for row in rows:
                named = dict(zip(names, row if isinstance(row, tuple) else (row,)))
                text, count = named.get("text"), named.get("expected_len")
                if not isinstance(text, str) or not isinstance(count, int):
                    continue
                places = named.get("expected_positions", named.get("expected_position"))
                places = [places] if places and isinstance(places[0], int) else places or []
                scores = named.get("expected_score_ranges", ())
                top = max((s[1] if s[1] != "max" else 1.0 for s in scores if isinstance(s, tuple)), default=1.0)
                kind = "other kind" if rule not in PRESIDIO_KINDS else "form" if top >= PRESIDIO_SURE or not count else "words"
                want = [text[s:e] for s, e in places]
                yield case("presidio", rule, text, count > 0, kind, want, test)


def judge(program, cases):
    given = "".join(json.dumps(case["text"]) + "\n" for case in cases)
    ran = subprocess.run([program, "all"], input=given, capture_output=True, text=True, check=True, timeout=1800)
    for case, line in zip(cases, ran.stdout.splitlines(), strict=True):
        case["finds"] = json.loads(line)


def relevant(case):
    """The finds relevant to this case: secrets, or data of the recognizer's kind."""
    if case["peer"] == "presidio":
        kinds = PRESIDIO_KINDS.get(case["rule"], set())
        return [find for find in case["finds"] if find[2] in kinds or (case["positive"] and find[2] != "secret")]
    return [find for find in case["finds"] if find[2] in ("secret", "url-credentials")]


def found(case):
    finds = relevant(case)
    if case["peer"] == "presidio" and case["positive"]:
        spans = [case["text"][s:e] for s, e, *_ in finds]
        return bool(finds) and all(any(want.strip() in span for span in spans) for want in case["want"])
    return bool(finds)


def table(cases, title):
    print(f"\n### {title}\n\n| peer | class | half | true positives | found | share | declared false positives | blocked | of those no rule of gitleaks finds | blocked | share | by their name alone |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    groups = collections.defaultdict(list)
    for case in cases:
        groups[case["peer"], case["class"], case["half"]].append(case)
    for (peer, kind, part), rows in sorted(groups.items()):
        true = [case for case in rows if case["positive"]]
        false = [case for case in rows if not case["positive"]]
        hit, wrong = [c for c in true if found(c)], [c for c in false if found(c)]
        alone = [c for c in false if not c.get("others")]
        wrong_alone = [c for c in wrong if not c.get("others")]
        said = [c for c in wrong_alone if all(find[3].endswith("-assignment") for find in relevant(c))]
        share = lambda part, whole: f"{100 * len(part) / len(whole):.1f} %" if whole else ""
        print(f"| {peer} | {kind} | {part} | {len(true)} | {len(hit)} | {share(hit, true)} | {len(false)} | {len(wrong)} | {len(alone)} | {len(wrong_alone)} | {share(wrong_alone, alone)} | {len(said)} |")


NAMING = re.compile(r"(?i)key|token|secret|pass|pwd|credential|auth|bearer|[_-]pw")
UUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def why(case):
    """The class of a miss, by the secret if the peer identifies it, else by the longest word of the text."""
    words = case["want"] or re.findall(r"[A-Za-z0-9+/=_.-]+", case["text"])
    token = max(words, key=len, default="")
    if re.search(r"(.)\1{7,}", token):
        return "a row of one character"
    if UUID.fullmatch(token):
        return "an identifier"
    if not re.search("[A-Za-z]", token):
        return "digits alone"
    if not re.search("[0-9]", token):
        return "letters alone"
    if len(token) < 16:
        return "shorter than 16 characters"
    return "other" if NAMING.search(case["text"]) else "nothing says that it is a secret"


def classes(cases):
    print("\n| peer | class | half | what is missed | number |\n|---|---|---|---|---|")
    missed = (case for case in cases if case["positive"] and case["class"] != "other kind" and not found(case))
    counts = collections.Counter((case["peer"], case["class"], case["half"], why(case)) for case in missed)
    for key, count in sorted(counts.items()):
        print(f"| {' | '.join(key)} | {count} |")


def rules(cases):
    print("\n| peer | rule | class | half | found / true positives | blocked / declared false positives |\n|---|---|---|---|---|---|")
    groups = collections.defaultdict(list)
    for case in cases:
        groups[case["peer"], case["rule"], case["class"], case["half"]].append(case)
    for key, rows in sorted(groups.items()):
        true, false = [c for c in rows if c["positive"]], [c for c in rows if not c["positive"]]
        print(f"| {' | '.join(key)} | {sum(map(found, true))} / {len(true)} | {sum(map(found, false))} / {len(false)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("gitleaks", "trufflehog", "detect-secrets", "presidio"):
        parser.add_argument(f"--{name}", metavar="DIR", help=f"a local copy of {name}")
    parser.add_argument("--judge", default="target/release/examples/policy_spans", help="the example policy_spans")
    parser.add_argument("--half", choices=["dev", "unseen"], help="only rules of this half")
    parser.add_argument("--rules", action="store_true", help="one line for each rule")
    parser.add_argument("--misses", nargs="?", const="", metavar="RULE", help="print missed and blocked cases of this rule or of all; of the half dev unless --half is set")
    options = parser.parse_args()
    readers = {"gitleaks": gitleaks, "trufflehog": trufflehog, "detect_secrets": detect_secrets, "presidio": presidio}
    cases = [case for name, read in readers.items() if getattr(options, name) for case in read(getattr(options, name))]
    cases = [case for case in cases if options.half in (None, case["half"])]
    if not cases:
        parser.error("name at least one local copy")
    judge(options.judge, cases)
    if options.gitleaks:
        second_opinions(options.gitleaks, cases)
    table(cases, "Others' test data")
    classes(cases)
    if options.rules:
        rules(cases)
    if options.misses is not None:
        for case in cases:
            shown = case["half"] == (options.half or "dev") and options.misses in ("", case["rule"]) and case["class"] != "other kind"
            if shown and found(case) != case["positive"]:
                print("missed" if case["positive"] else "blocked", case["peer"], case["rule"], case["class"], repr(case["text"][:600]), case["want"], case["finds"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
