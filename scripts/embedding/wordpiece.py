"""BERT uncased WordPiece in plain Python: the same as the engine's own tokenizer, for the scripts here and for
learn.py.

make_vectors.py proves it equal to the model's real tokenizer on every text of the test vectors.
"""

import unicodedata

UNKNOWN = "[UNK]"
# A longer word is one unknown token, as in BERT.
WORD_CHARS_MAX = 100
HAN = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)


def _is_punctuation(char):
    """ASCII punctuation and symbols, or a Unicode category P*."""
    code = ord(char)
    ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_mark or unicodedata.category(char).startswith("P")


def normalize(text):
    """Removes control characters and accents, maps white space to blanks, separates Han characters, lower-cases."""
    kept = []
    for char in text:
        if char in "\t\n\r" or char.isspace() and not unicodedata.category(char).startswith("C"):
            kept.append(" ")
        elif char == "\ufffd" or unicodedata.category(char).startswith("C"):
            continue
        elif any(low <= ord(char) <= high for low, high in HAN):
            kept.append(f" {char} ")
        else:
            kept.append(char)
    plain = (char for char in unicodedata.normalize("NFD", "".join(kept)) if unicodedata.category(char) != "Mn")
    return "".join(char.lower() for char in plain)


def words(text):
    """Splits at white space; each punctuation mark is a separate word."""
    found, word = [], []
    for char in normalize(text):
        if char.isspace() or _is_punctuation(char):
            if word:
                found.append("".join(word))
                word = []
            if not char.isspace():
                found.append(char)
        else:
            word.append(char)
    return found + ["".join(word)] if word else found


class WordPiece:
    """Longest match first over a vocabulary with one token per line; the line number is the token number."""

    def __init__(self, vocabulary):
        with open(vocabulary, encoding="utf-8") as lines:
            self.tokens = lines.read().removesuffix("\n").split("\n")
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.cache = {}

    def word(self, word):
        """Token numbers of one word: only [UNK] if any part of it matches no token."""
        unknown = [self.numbers[UNKNOWN]]
        if len(word) > WORD_CHARS_MAX:
            return unknown
        ids, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self.numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                return unknown
            ids.append(number)
            start = end
        return ids

    def encode(self, text):
        """Token numbers of a text, without [CLS] and [SEP]. Names of special tokens in the text are plain text."""
        ids = []
        for word in words(text):
            if word not in self.cache:
                self.cache[word] = self.word(word)
            ids += self.cache[word]
        return ids
