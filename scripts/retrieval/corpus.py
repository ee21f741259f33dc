"""Memories of one project as input of the lanes: FTS5 postings, WordPiece numbers, static vectors, sessions."""

import json
import sqlite3
import struct
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "embedding"))
from wordpiece import WordPiece  # noqa: E402

DATA = HERE.parents[1] / "engine" / "data"
STOP = frozenset((HERE.parents[1] / "engine/core/src/retrieval/stopwords.txt").read_text().split())
K1, B = 1.2, 0.75


def read_table():
    blob = (DATA / "static-minilm-256.table").read_bytes()
    _, _, rows, dimension, scale = struct.unpack_from("<8sIIIf", blob)
    return np.frombuffer(blob, np.int8, offset=32).reshape(rows, dimension).astype(np.float32) * scale


class Fts:
    """The engine's tokenizer: FTS5 `porter unicode61`, read through its vocabulary table."""

    def __init__(self):
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create virtual table r using fts5(text, tokenize='unicode61')")
        self.db.execute("create virtual table rv using fts5vocab(r, instance)")
        self.db.execute("create virtual table s using fts5(text, tokenize='porter unicode61')")
        self.db.execute("create virtual table sv using fts5vocab(s, instance)")
        self.cache = {}

    def words(self, text):
        """Words of a text in order, before stemming."""
        self.db.execute("delete from r")
        self.db.execute("insert into r(rowid, text) values (1, ?)", (text,))
        return [term for (term,) in self.db.execute("select term from rv order by offset")]

    def stem(self, word):
        if word not in self.cache:
            self.db.execute("delete from s")
            self.db.execute("insert into s(rowid, text) values (1, ?)", (word,))
            found = [term for (term,) in self.db.execute("select term from sv order by offset")]
            self.cache[word] = found[0] if found else word
        return self.cache[word]

    def postings(self, texts):
        """term → {memory: [offsets]}, and the count of words of each text."""
        db = sqlite3.connect(":memory:")
        db.execute("create virtual table f using fts5(text, tokenize='porter unicode61')")
        db.execute("create virtual table fv using fts5vocab(f, instance)")
        db.executemany("insert into f(rowid, text) values (?, ?)", enumerate(texts, 1))
        found, lengths = {}, np.zeros(len(texts))
        for term, doc, offset in db.execute("select term, doc, offset from fv order by term, doc, offset"):
            found.setdefault(term, {}).setdefault(doc - 1, []).append(offset)
            lengths[doc - 1] += 1
        return found, lengths


class Corpus:
    fts = Fts()
    wordpiece = WordPiece(DATA / "static-minilm-vocab.txt")
    table = read_table()

    def __init__(self, memories):
        """memories: dicts with text and, optionally, actor, session, time (datetime)."""
        self.memories = memories
        self.texts = [memory["text"] for memory in memories]
        self.count = len(memories)
        self.postings, self.lengths = self.fts.postings(self.texts)
        self.mean_length = self.lengths.mean()
        self.pieces = [self.wordpiece.encode(text) for text in self.texts]
        frequency = np.zeros(len(self.table))
        for ids in self.pieces:
            frequency[sorted(set(ids))] += 1
        self.piece_df = frequency
        self.piece_idf = np.log((self.count + 1) / (frequency + 1)).astype(np.float32)
        self.vectors = np.stack([self.embed(ids) for ids in self.pieces])
        self.actors = [memory.get("actor") for memory in memories]
        self.sessions = [memory.get("session") for memory in memories]
        groups = {}
        for number, session in enumerate(self.sessions):
            if session is not None:
                groups.setdefault(session, []).append(number)
        self.groups = list(groups.values())
        self.place = {number: (group, at) for group in self.groups for at, number in enumerate(group)}

    def embed(self, ids, idf=True):
        if not ids:
            return np.zeros(self.table.shape[1], np.float32)
        weights = self.piece_idf[ids] if idf else np.ones(len(ids), np.float32)
        vector = weights @ self.table[ids]
        norm = np.linalg.norm(vector)
        return vector / norm if norm else vector

    def neighbour(self, distance):
        """For each memory, the one at this distance after it in its session, or -1."""
        found = np.full(self.count, -1)
        for group in self.groups:
            for at, number in enumerate(group):
                if 0 <= at + distance < len(group):
                    found[number] = group[at + distance]
        return found


def locomo(folder):
    """(name, memories, questions) of each conversation; evidence as indexes into memories."""
    for path in sorted(Path(folder).glob("conv-*.json")):
        conversation = json.loads(path.read_text())
        at = {turn["id"]: number for number, turn in enumerate(conversation["turns"])}
        memories = [
            {
                "text": f"{turn['speaker']}: {turn['text']}",
                "actor": turn["speaker"],
                "session": turn["session"],
                "time": datetime.strptime(turn["time"], "%I:%M %p on %d %B, %Y"),
            }
            for turn in conversation["turns"]
        ]
        questions = [
            {"query": q["question"], "category": q["category"], "relevant": sorted({at[e] for e in q["evidence"] if e in at})}
            for q in conversation["questions"]
        ]
        yield path.stem, memories, [q for q in questions if q["relevant"]]
