"""Regression checks: the default weights must not be worse than plain BM25 on other text or in other languages.

    guards.py docstrings                 summary line → rest, docstrings of the standard library, numpy and scipy
    guards.py manpages FOLDER            name line → description, Debian packages manpages-LANGUAGE_*.deb in FOLDER

Each prints recall@10 and mean reciprocal rank (MRR) of BM25 with all words and of the fused score, and exits with 1 if
the fused score is more than TOLERANCE lower in either.
"""

import ast
import gzip
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy
from features import Index
from weights import score

# A recall over 300 queries has a standard error of about 0.02; the difference of two rankings of the same queries,
# about 0.01.
TOLERANCE = 0.005
QUERIES = 300


def docstrings():
    """(summary, rest) of up to 8,000 documented functions and classes."""
    found = {}
    roots = [Path(ast.__file__).parent, Path(np.__file__).parent, Path(scipy.__file__).parent]
    for path in sorted(path for root in roots for path in root.rglob("*.py") if root != roots[0] or "site-packages" not in path.parts):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and (text := ast.get_docstring(node)):
                summary, _, rest = text.partition("\n\n")
                if len(summary.split()) >= 3 and len(rest.split()) >= 10:
                    found.setdefault(" ".join(summary.split()), " ".join(rest.split()[:300]))
    pairs = sorted(found.items())
    random.Random(1).shuffle(pairs)
    return pairs[:8000]


def manpages(package):
    """(name line, description) of the pages of one package."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
        for path in sorted(Path(folder).rglob("*.gz")):
            if path.is_symlink():
                continue
            text = gzip.open(path, "rt", encoding="utf-8", errors="replace").read()
            sections = re.split(r'(?m)^\.S[Hh] *"?', text)[1:]
            plain = [
                " ".join(re.sub(r"\\f.|\\[&%|]|\\\(..|\\\[.*?\\]|\\", "", re.sub(r'(?m)^[.\'][\\a-zA-Z"]*', "", section.partition("\n")[2])).split())
                for section in sections
            ]
            if len(plain) > 2 and " - " in plain[0]:
                summary = plain[0].partition(" - ")[2]
                rest = max(plain[1:4], key=len)
                if len(summary) > 15 and len(rest) > 60:
                    found.setdefault(summary, rest[:1500])
    pairs = sorted(found.items())
    random.Random(1).shuffle(pairs)
    return pairs[:3000]


def rank(scores, wanted):
    return 1 + int((scores > scores[wanted]).sum()) + int((scores[:wanted] == scores[wanted]).sum())


def measure(name, pairs):
    index = Index([{"text": rest} for _, rest in pairs])
    plain, fused, lanes = [], [], {}
    for wanted, (summary, _) in enumerate(pairs[:QUERIES]):
        terms = list(dict.fromkeys(index.fts.stem(word) for word in index.fts.words(summary)))
        plain.append(rank(index.lexical(terms), wanted))
        features, chosen = index.features(summary)
        total = np.where(chosen, score(features), -np.inf)
        fused.append(rank(total, wanted))
        for lane in ("lexical", "static", "match"):
            lanes.setdefault(lane, []).append(rank(features[lane], wanted))
    figures = {}
    for label, ranks in (("bm25", plain), ("fused", fused), *lanes.items()):
        ranks = np.array(ranks)
        figures[label] = (ranks <= 10).mean(), np.where(ranks <= 1000, 1 / ranks, 0).mean()
        print(f"{name:28} {len(pairs):5} memories  {label:8} recall@10 {figures[label][0]:.3f}  MRR {figures[label][1]:.3f}", flush=True)
    return all(f >= b - TOLERANCE for f, b in zip(figures["fused"], figures["bm25"]))


def main():
    if sys.argv[1:2] == ["docstrings"]:
        good = [measure("docstrings", docstrings())]
    elif sys.argv[1:2] == ["manpages"]:
        good = [measure(path.name.split("_")[0], manpages(path)) for path in sorted(Path(sys.argv[2]).glob("manpages-*.deb"))]
    else:
        sys.exit(__doc__)
    sys.exit(0 if good and all(good) else "the fused score is worse than plain BM25")


if __name__ == "__main__":
    main()
