"""Write the test vectors of the embedding: texts, their WordPiece numbers, and the plain mean of their rows.

    make_vectors.py          write engine/core/tests/fixtures/embedding/vectors.json
    make_vectors.py --check  compare instead

The numbers come from the model's own tokenizer (`tokenizers`); wordpiece.py must agree with it on every text.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from make_table import DATA, HEADER, TABLE, VOCABULARY, model_folder
from tokenizers import Tokenizer
from wordpiece import WordPiece


FIXTURE = DATA.parent / "core" / "tests" / "fixtures" / "embedding" / "vectors.json"
# Number of texts, from the first, that also get the start of their vector.
WITH_VECTOR, PARTS = 24, 8
TEXTS = [
    "The deploy failed because the volume was full.",
    "caroline went to the LGBTQ support group yesterday",
    "hello world",
    "Hello, World!",
    "a",
    "What did the database's owner say about 2023-05-07?",
    "unaffable tokenization of internationalisation",
    "kubectl get pods -n kube-system --watch",
    "https://example.org/a/b?c=d&e=f#g",
    "snake_case camelCase SCREAMING_CASE kebab-case",
    "3.14159 1,000,000 0x1F 50% $12.99 #42",
    "naïve café résumé Ünïcödé ÅNGSTRÖM",
    "Crème brûlée à la carte, s'il vous plaît",
    "Straße und Größe: Übermut tut selten gut",
    "żółć gęślą jaźń",
    "Привет, мир! Как дела?",
    "Γειά σου Κόσμε, ΌΛΑ ΚΑΛΆ",
    "你好世界",
    "東京タワーに行きました。",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "emoji 😀 and 👩‍👩‍👧 in a text 🎉!",
    "price: 5€ — “quoted” … ‘single’ «guillemets»",
    "x" * 100,
    "",
    " \t\r\n ",
    "x" * 101,
    "short " + "y" * 120 + " short",
    "!?!",
    "...",
    "tab\tnew\nline\rreturn",
    "nul\u0000 bell\u0007 escape\u001b del\u007f gone",
    "replacement \ufffd soft\u00adhyphen zero\u200bwidth joiner\u200d bom\ufeff",
    "no\u00a0break em\u2003space ideographic\u3000space line\u2028separator",
    "e\u0301 combining, n\u0303, and ﬁ ligature ½ ² Ⅳ",
    "İstanbul ISPARTA ıçel Ǆ ß ẞ",
    "हिन्दी में लिखा",
    "ภาษาไทย",
    "𝒜𝒷𝒸 mathematical 𝔘𝔫𝔦",
    "mixed中文andEnglish混排",
    "_underscore_ ~tilde~ `tick` ^caret^ |pipe| <tag> {brace} [bracket]",
    "don't can't won't it's O'Neill rock'n'roll",
    "\U00020000\U0002a700\U0002b820 rare Han",
    "the the the the",
]


def vector(ids, rows):
    """Unweighted mean of the rows, normalised to length 1: its first components, in float32. Zeros without tokens."""
    if not ids:
        return [0.0] * PARTS
    mean = rows[ids].astype(np.float64).mean(0)
    return [float(part) for part in (mean / np.linalg.norm(mean)).astype(np.float32)[:PARTS]]


def main():
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ours = WordPiece(DATA / VOCABULARY)
    blob = (DATA / TABLE).read_bytes()
    _, _, count, dimension, _ = struct.unpack_from(HEADER, blob)
    rows = np.frombuffer(blob, np.int8, offset=struct.calcsize(HEADER)).reshape(count, dimension)
    cases = []
    for number, text in enumerate(TEXTS):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if ids != ours.encode(text):
            sys.exit(f"wordpiece.py differs on {text!r}: {ours.encode(text)}, expected {ids}")
        cases.append({"text": text, "ids": ids} | ({"mean": vector(ids, rows)} if number < WITH_VECTOR else {}))
    made = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    if "--check" not in sys.argv:
        FIXTURE.write_text(made)
    elif FIXTURE.read_text() != made:
        sys.exit(f"{FIXTURE} differs from the computed vectors")


if __name__ == "__main__":
    main()
