"""Named features of a query and each candidate memory: the reference implementation of README.md's definitions."""

import re
from datetime import date

import numpy as np
from corpus import K1, B, STOP, Corpus

# Candidates: the best of each lane, and their neighbours in the session.
LANE_TOP, AROUND = 250, 3
MONTHS = "january february march april may june july august september october november december".split()
TIME_WORDS = frozenset(
    MONTHS
    + "monday tuesday wednesday thursday friday saturday sunday yesterday today tonight tomorrow ago last next week weeks".split()
    + "weekend month months year years day days morning evening night since recently soon".split()
)
# A query without any word in the vocabulary counts half as much for the static lanes as one whose words are all in it.
TRUST_MIN = 0.5
UNKNOWN_PIECE = 100
# If the best and the worst candidate of a lane are this close, the lane carries no information: 0.5 for all.
FLAT = 1e-9


def min_max(values, chosen):
    """Scales the chosen values to 0..1, 0.5 if all are equal; 0 for the others."""
    out = np.zeros(len(values))
    low, high = values[chosen].min(), values[chosen].max()
    out[chosen] = 0.5 if high - low < FLAT else (values[chosen] - low) / (high - low)
    return out


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def follows(words, first, second):
    return any(a in first and b in second for a, b in zip(words, words[1:]))


def ends_with_question(text):
    """Whether it ends with `?`, ignoring white space and one bracketed note at the end."""
    text = text.rstrip()
    if text.endswith("]") and "[" in text:
        text = text[: text.rindex("[")].rstrip()
    return text.endswith("?")


def capitals(text):
    """Capitalised words inside a sentence, as a share of three, at most 1."""
    found = sum(
        (text[i - 2] in ",;" or "a" <= text[i - 2] <= "z") and text[i - 1] == " " and "A" <= text[i] <= "Z" and "a" <= text[i + 1] <= "z"
        for i in range(2, len(text) - 1)
    )
    return min(found, 3) / 3


class Index(Corpus):
    """Everything that does not depend on the query."""

    def __init__(self, memories):
        super().__init__(memories)
        self.at = {d: self.neighbour(d) for d in range(-AROUND, AROUND + 1) if d}
        self.turn = np.array([float(s is not None and a is not None) for s, a in zip(self.sessions, self.actors)])
        words = [self.fts.words(text) for text in self.texts]
        has = lambda test: np.array([float(any(map(test, own))) for own in words]) * self.turn  # noqa: E731
        self.question = np.array([float(ends_with_question(text)) for text in self.texts]) * self.turn
        self.statement = self.turn - self.question
        self.time_word = has(lambda w: w in TIME_WORDS or w.isascii() and any(c.isdigit() for c in w))
        self.capitals = np.array([capitals(text) for text in self.texts]) * self.turn
        self.session_of = np.full(self.count, -1)
        for number, group in enumerate(self.groups):
            self.session_of[group] = number
        self.near, self.near_length, self.near_members = self.window(1)
        self.wide, self.wide_length, self.wide_members = self.window(2)
        self.session_vectors = unit(np.stack([self.vectors[g].sum(0) for g in self.groups])) if self.groups else None
        self.session_lengths = np.array([self.lengths[g].sum() for g in self.groups])
        self.flat_pieces = np.array([piece for ids in self.pieces for piece in ids], int)
        self.starts = np.cumsum([0] + [len(ids) for ids in self.pieces])
        self.rows = unit(self.table)
        self.names = {actor: self.fts.words(actor) for actor in {a for a in self.actors if a}}

    def window(self, reach):
        """Unit vector, words and members of each memory and its session neighbours up to `reach` places away."""
        vectors, lengths, members = self.vectors.copy(), self.lengths.copy(), np.ones(self.count)
        for d in range(-reach, reach + 1):
            if d:
                there = self.at[d] >= 0
                vectors[there] += self.vectors[self.at[d][there]]
                lengths[there] += self.lengths[self.at[d][there]]
                members[there] += 1
        return unit(vectors), lengths, members

    def shift(self, values, d):
        """For each memory, the value of the one d places after it in its session; 0 if there is none."""
        out, there = np.zeros(values.shape), self.at[d] >= 0
        out[..., there] = values[..., self.at[d][there]]
        return out

    def named(self, query, words):
        """Actors that a query names."""
        capital = {word.lower() for word in re.findall(r"\w+", query) if word[0].isupper()}
        return {
            actor
            for actor, own in self.names.items()
            if own and (set(own) <= set(words) or own[0] in capital and actor[0].isupper())
        }

    def content(self, query):
        """The query's words without stop words and named actors, else without stop words, else all: the first non-empty
        list; and the named actors.
        """
        words = self.fts.words(query)
        named = self.named(query, words)
        spoken = {part for actor in named for part in self.names[actor]}
        telling = [word for word in words if word not in STOP]
        return [word for word in telling if word not in spoken] or telling or words, named

    def date_fit(self, query):
        """How well the time of each memory with a session matches a date in the query. The time of a note is when it
        was written, not its subject.
        """
        out = np.zeros(self.count)
        months = [n for n, name in enumerate(MONTHS, 1) if re.search(rf"\b{name.capitalize()}\b", query)]
        years = [int(year) for year in re.findall(r"\b((?:19|20)\d\d)\b", query)]
        days = [int(day) for day in re.findall(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", query) if 1 <= int(day) <= 31] if months else []
        if not months and not years:
            return out
        for number, memory in enumerate(self.memories):
            time = memory.get("time")
            if time is None or self.sessions[number] is None or years and time.year not in years:
                continue
            if not months:
                out[number] = 0.5
            elif any(time.month == m or time.month == m % 12 + 1 and time.day <= 7 for m in months):
                gaps = [(time.date() - day).days for m in months for d in days if (day := real_date(time.year, m, d))]
                close = 1.5 if any(-1 <= gap <= 2 for gap in gaps) else 1.0 if any(-1 <= gap <= 9 for gap in gaps) else 0.5
                out[number] = close if days else 1.0
        return out

    def matches(self, terms):
        """Frequency of each term in each memory, and the terms' IDF as in FTS5; 0 for a term without occurrences."""
        tf = np.zeros((len(terms), self.count))
        for number, term in enumerate(terms):
            for memory, offsets in self.postings.get(term, {}).items():
                tf[number, memory] = len(offsets)
        df = (tf > 0).sum(1)
        return tf, np.maximum(np.log((self.count - df + 0.5) / (df + 0.5)), 1e-6) * (df > 0)

    def lexical(self, terms):
        """FTS5's bm25 for an OR of terms."""
        return self.bm25(*self.matches(terms), self.lengths, self.mean_length)

    def bm25(self, tf, idf, lengths, mean):
        return (idf[:, None] * tf * (K1 + 1) / (tf + K1 * (1 - B + B * lengths / mean))).sum(0)

    def features(self, query, top=LANE_TOP):
        """name → values of all memories, and which memories are candidates."""
        words = self.fts.words(query)
        kept, named = self.content(query)
        stems = [self.fts.stem(word) for word in kept]
        terms = list(dict.fromkeys(stems))
        tf, idf = self.matches(terms)
        ids = self.wordpiece.encode(" ".join(kept))
        vector = self.embed(ids)
        raw = {"lexical": self.bm25(tf, idf, self.lengths, self.mean_length), "static": self.vectors @ vector}
        chosen = self.candidates(raw["lexical"], raw["static"], top)
        near = tf + self.shift(tf, -1) + self.shift(tf, 1)
        wide = near + self.shift(tf, -2) + self.shift(tf, 2)
        raw["near_lexical"] = self.bm25(near, idf, self.near_length, self.near_members * self.mean_length)
        raw["near_static"] = self.near @ vector
        raw["wide_lexical"] = self.bm25(wide, idf, self.wide_length, self.wide_members * self.mean_length)
        raw["wide_static"] = self.wide @ vector
        raw["match"], raw["near_match"] = self.late(ids)
        lanes = {name: min_max(values, chosen) for name, values in raw.items()}
        lanes["session_lexical"], lanes["session_static"] = lanes["lexical"].copy(), lanes["static"].copy()
        if self.groups:
            inside = chosen & (self.session_of >= 0)
            by_session = np.stack([tf[:, group].sum(1) for group in self.groups], 1)
            lexical = self.bm25(by_session, idf, self.session_lengths, self.session_lengths.mean())
            for name, values in (("session_lexical", lexical), ("session_static", self.session_vectors @ vector)):
                if inside.any():
                    lanes[name][inside] = min_max(values[self.session_of], inside)[inside]
        for name in lanes:
            if name.endswith(("static", "match")):
                lanes[name] = lanes[name] * self.trust(kept)
        lanes["coverage"] = (idf[:, None] * (tf > 0)).sum(0) / max(idf.sum(), 1e-9)
        lanes["pairs"] = self.pairs(stems, dict(zip(terms, idf)))
        return self.with_structure(lanes, query, words, named), chosen

    def trust(self, words):
        """Share of the words that are a single vocabulary entry, at least TRUST_MIN."""
        whole = [ids for ids in map(self.wordpiece.encode, words) if len(ids) == 1 and ids[0] != UNKNOWN_PIECE]
        return max(TRUST_MIN, len(whole) / len(words)) if words else TRUST_MIN

    def with_structure(self, lanes, query, words, named):
        """The lanes, and the features of sessions, actors and times: 0 for a memory without session."""
        out = dict(lanes)
        out["actor_named"] = np.array([float(actor in named) for actor in self.actors])
        when = "when" in words or follows(words, {"how"}, {"long"}) or follows(words, {"what", "which"}, {"year", "month", "date", "day"})
        out |= {"statement": self.statement, "capitals": self.capitals}
        out |= {"time_word": self.time_word, "when_time_word": when * self.time_word, "date": self.date_fit(query)}
        for lane in ("lexical", "static", "match"):
            for d in (-2, -1, 1, 2):
                out[f"{lane}{d:+d}"] = self.shift(lanes[lane], d)
            out[f"{lane}_asked"] = self.shift(lanes[lane] * self.question, -1)
            out[f"actor_{lane}"] = out["actor_named"] * lanes[lane]
        return out

    def candidates(self, lexical, static, top):
        if top is None:
            return np.ones(self.count, bool)
        chosen = np.zeros(self.count, bool)
        best = np.argsort(-lexical, kind="stable")[:top]
        chosen[best[lexical[best] > 0]] = True
        chosen[np.argsort(-static, kind="stable")[:top]] = True
        middle = np.flatnonzero(chosen)
        for found in self.at.values():
            there = found[middle]
            chosen[there[there >= 0]] = True
        return chosen

    def late(self, ids):
        """IDF-weighted mean of each query piece's best cosine with the pieces of the memory, and of its near window."""
        ids = list(dict.fromkeys(ids))
        best = np.zeros((len(ids), self.count))
        filled = np.diff(self.starts) > 0
        if ids and len(self.flat_pieces):
            cosines = np.maximum(self.rows[ids] @ self.rows.T, 0)[:, self.flat_pieces]
            best[:, filled] = np.maximum.reduceat(cosines, self.starts[:-1][filled], axis=1)
        weights = self.piece_idf[ids].astype(float)
        near = np.maximum(best, np.maximum(self.shift(best, -1), self.shift(best, 1)))
        return [(weights[:, None] * part).sum(0) / max(weights.sum(), 1e-9) for part in (best, near)]

    def pairs(self, stems, idf):
        """Share of neighbouring query words, weighted by the lower IDF, at most two places apart in the memory."""
        together, total = np.zeros(self.count), 0.0
        for a, b in zip(stems, stems[1:]):
            if a == b:
                continue
            weight = min(idf[a], idf[b])
            total += weight
            first, second = self.postings.get(a, {}), self.postings.get(b, {})
            for memory in first.keys() & second.keys():
                gap = min(abs(y - x) for x in first[memory] for y in second[memory])
                together[memory] += weight * (gap <= 2)
        return together / max(total, 1e-9)


def real_date(year, month, day):
    try:
        return date(year, month, day)
    except ValueError:
        return None
