"""Runs the test suites of other products against an engine and reports what passed, what differs and why. See
README.md.
"""

import argparse
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# Time limits in seconds for a suite, for one of its tests, and for the start of an engine.
SUITE_S = 900
TEST_S = 60
START_S = 60


@dataclass
class Suite:
    name: str
    title: str
    # Its folder in the local copies, and the files to run.
    folder: str
    files: list
    run: object
    results: dict = field(default_factory=dict)


class Engine:
    """A separate engine on loopback, with an empty volume."""

    def __init__(self, program):
        self.data = tempfile.mkdtemp(prefix="peers-engine-")
        listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [program, "serve", *listen, "--data", self.data], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        for line in self.process.stderr:
            said = json.loads(line)
            if said.get("message") == "serving":
                self.url = f"http://{said['listen']}"
                break
        else:
            raise SystemExit("the engine does not serve")
        timer.cancel()
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
        # Send no request before the engine is ready.
        for _ in range(START_S * 10):
            try:
                urllib.request.urlopen(f"http://{said['admin_listen']}/readyz", timeout=5)
                return
            except OSError:
                threading.Event().wait(0.1)
        raise SystemExit("the engine does not become ready")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.data, ignore_errors=True)


def python_suite(suite, source, work, options):
    """Runs a pytest suite; test files are copied, so that nothing is written beside the originals."""
    for name in suite.files:
        target = work / "tests" / Path(name).name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source / name, target)
    (work / "tests/__init__.py").touch()
    (work / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    engine = Engine(options.engine)
    environment = os.environ | {
        "ENGINE_URL": engine.url,
        "PEERS_SUITE": suite.name,
        "PYTHONPATH": f"{HERE / 'python'}:{work}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANGSMITH_TRACING": "false",
    }
    report = work / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "peers_plugin", f"--junitxml={report}", "tests"]
    try:
        done = subprocess.run(command, cwd=work, env=environment, timeout=SUITE_S, capture_output=True, text=True)
    finally:
        engine.stop()
    if options.verbose or not report.exists():
        print(done.stdout, done.stderr, file=sys.stderr)
    if not report.exists():
        return {"(the suite)": ("failed", "it did not run")}
    results = {}
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname').rsplit('.', 1)[-1]}::{case.get('name')}"
        broken = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped") is not None
        asked = {it.get("name"): it.get("value") for it in case.iter("property")}.get("asked")
        passed = "untouched" if asked == "0" else "passed"
        outcome = "skipped" if skipped else passed if broken is None else "failed"
        results[name] = (outcome, "" if broken is None else (broken.get("message") or "").splitlines()[:1])
    return results


def vitest_suite(suite, source, work, options):
    for name in suite.files:
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target)
    shutil.copy(HERE / "server_memory/index.ts", work / "index.ts")
    shutil.copy(HERE / "server_memory/package.json", work / "package.json")
    (work / "node_modules").symlink_to(options.modules / "node_modules")
    config = f"export default {{ test: {{ globals: true, testTimeout: {TEST_S * 1000}, hookTimeout: {TEST_S * 1000} }} }};\n"
    (work / "vitest.config.mjs").write_text(config)
    report = work / "report.json"
    vitest = options.modules / "node_modules/vitest/vitest.mjs"
    command = [options.modules / "node", vitest, "run", "--reporter=json", f"--outputFile={report}"]
    environment = os.environ | {"ENGINE": str(options.engine), "TMPDIR": str(work)}
    done = subprocess.run(command, cwd=work, env=environment, timeout=SUITE_S, capture_output=True, text=True)
    if options.verbose or not report.exists():
        print(done.stdout, done.stderr, file=sys.stderr)
    if not report.exists():
        return {"(the suite)": ("failed", "it did not run")}
    results = {}
    for file in json.loads(report.read_text())["testResults"]:
        stem = Path(file["name"]).name.split(".")[0]
        if not file["assertionResults"]:
            results[f"{stem}::(all of it)"] = ("failed", (file.get("message") or "").splitlines()[:1])
        for test in file["assertionResults"]:
            outcome = {"passed": "passed", "failed": "failed"}.get(test["status"], "skipped")
            message = (test.get("failureMessages") or [""])[0].splitlines()[:1]
            results[f"{stem}::{test['fullName']}"] = (outcome, message)
    return results


SUITES = [
    Suite(
        "server-memory",
        "`@modelcontextprotocol/server-memory`: its vitest suite over the nine tools",
        "servers/src/memory",
        ["__tests__/knowledge-graph.test.ts", "__tests__/resource.test.ts", "__tests__/file-path.test.ts"],
        vitest_suite,
    ),
    Suite(
        "langgraph-memory",
        "LangGraph: `libs/checkpoint/tests/test_store.py`, an engine in the place of `InMemoryStore`",
        "langgraph/libs/checkpoint",
        ["tests/test_store.py", "tests/embed_test_utils.py"],
        python_suite,
    ),
    Suite(
        "langgraph-sqlite",
        "LangGraph: `libs/checkpoint-sqlite/tests/test_store.py`, an engine in the place of `SqliteStore`",
        "langgraph/libs/checkpoint-sqlite",
        ["tests/test_store.py"],
        python_suite,
    ),
    Suite(
        "anthropic-memory-tool",
        "`anthropic`: the tests of its memory tool over files, an engine in the place of the directory",
        "anthropic-sdk-python",
        ["tests/lib/tools/memory_tools/test_filesystem.py"],
        python_suite,
    ),
]


def judge(suite, expected):
    """Compares each test with its expectation: none, a documented difference, or not applicable."""
    used, judged = set(), {"passed": [], "untouched": [], "difference": [], "cannot": [], "failed": [], "stale": []}
    for name, (outcome, message) in suite.results.items():
        rule = next((pattern for pattern in expected if fnmatch.fnmatchcase(name, pattern)), None)
        if outcome in ("passed", "untouched"):
            judged[outcome].append(name)
        elif rule is not None:
            used.add(rule)
            judged[expected[rule]["kind"]].append(name)
        elif outcome == "skipped":
            continue
        else:
            judged["failed"].append(f"{name}: {' '.join(message)}" if message else name)
    # A listed difference that no longer occurs must be removed from the list.
    judged["stale"] = [pattern for pattern in expected if pattern not in used]
    return judged


def section(suite, judged, expected):
    count = {kind: len(found) for kind, found in judged.items()}
    total = count["passed"] + count["difference"] + count["cannot"] + count["failed"]
    lines = [f"## {suite.title}", "", f"{total} tests: {count['passed']} pass, {count['difference']} differ as documented, "
             f"{count['cannot']} cannot be carried over, {count['failed']} fail."]
    if count["untouched"]:
        lines[-1] += f" {count['untouched']} more pass without asking the engine, and say nothing about it."
    lines.append("")
    for kind, title in [("difference", "Documented differences"), ("cannot", "Cannot be carried over")]:
        rules = [(pattern, rule) for pattern, rule in expected.items() if rule["kind"] == kind]
        if rules:
            lines += [f"{title}:", ""]
            for pattern, rule in rules:
                names = [name for name in judged[kind] if fnmatch.fnmatchcase(name, pattern)]
                lines.append(f"* `{pattern}` ({len(names)}): {rule['reason']}")
            lines.append("")
    if judged["failed"]:
        lines += ["Fail:", ""] + [f"* {name}" for name in judged["failed"]] + [""]
    return lines


def write_report(path, lines):
    """Writes between the marks; the text around them stays."""
    begin, end = "<!-- peers: begin -->", "<!-- peers: end -->"
    text = path.read_text()
    before, rest = text.split(begin)
    _, after = rest.split(end)
    path.write_text(f"{before}{begin}\n{chr(10).join(lines).rstrip()}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sources", type=Path, required=True, help="local copies of the peers' repositories")
    parser.add_argument("--engine", type=Path, required=True, help="the program memory-engine")
    parser.add_argument("--modules", type=Path, required=True, help="given by run.sh")
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES])
    parser.add_argument("--report", type=Path, help="file whose section is rewritten; default none")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    options.engine = options.engine.resolve()
    expected = json.loads((HERE / "expected.json").read_text())
    lines, bad = [], 0
    for suite in SUITES:
        if options.suite and suite.name not in options.suite:
            continue
        source = options.sources / suite.folder
        if not source.exists():
            raise SystemExit(f"{source} is missing: README.md lists what to copy there")
        with tempfile.TemporaryDirectory(prefix="peers-") as work:
            suite.results = suite.run(suite, source, Path(work), options)
        rules = expected.get(suite.name, {})
        judged = judge(suite, rules)
        lines += section(suite, judged, rules)
        bad += len(judged["failed"]) + len(judged["stale"])
        figures = {kind: len(found) for kind, found in judged.items()}
        print(f"{suite.name}: {figures['passed']} passed, {figures['difference']} documented differences, "
              f"{figures['cannot']} cannot be carried over, {figures['failed']} failed")
        for name in judged["failed"]:
            print(f"  failed: {name}")
        for pattern in judged["stale"]:
            print(f"  passes now, remove it from expected.json: {pattern}")
    if options.report:
        write_report(options.report, lines)
    raise SystemExit(1 if bad else 0)


main()
