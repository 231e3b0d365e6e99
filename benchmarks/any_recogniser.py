"""Does the packaged Hi-LANDER work on any recogniser's embeddings, without labels and with one setting?

    python benchmarks/any_recogniser.py [NAME=EMBEDDINGS.npz ...] [--seeds N] [--backends a,b]

Each archive holds ``embeddings`` [n, d] of any length and ``labels`` int64 [n], which only score. Without archives it
takes those at hand and skips missing ones. Prints Fp/Fb of the corpus as it is, and the largest change over seeds when
it is rounded to float16, put into another order, rotated at random, or loses one per cent of its faces. Then the
corpus with its mean removed and with a common direction added, the backends without a model, and what is doubtful.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import CELEBA, CLINC, CLINC_TEST, DLIB, LFW, faces_of

from clustering.backends.registry import load_clusterer
from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.similarity.doubts import doubts
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize

CORPORA = {
    "lfw mobilefacenet": LFW,
    "celeba299 mobilefacenet": CELEBA,
    "celeba299 dlib": DLIB,
    "clinc train": CLINC,
    "clinc test": CLINC_TEST,
}
BACKENDS = ("dbscan", "components", "hdbscan")
COMMON = (0.5, 1.0, 2.0)
LEFT_OUT = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", metavar="NAME=EMBEDDINGS.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    arguments = parser.parse_args()
    given = {name: Path(path) for name, _, path in (each.partition("=") for each in arguments.corpora)}
    for name, path in (given or CORPORA).items():
        if not path.exists():
            print(f"skipped {name}: no {path}; give NAME=EMBEDDINGS.npz")
            continue
        table(name, path, arguments.seeds, arguments.backends.split(","))


def table(name: str, path: Path, seeds: int, backends: list[str]) -> None:
    """Prints all rows of a corpus."""
    faces, labels = faces_of(path)
    scale = CorpusScale.of(KnnGraph.build(faces, 1))
    print(f"\n{name}: {len(faces):,} of {labels.max() + 1:,}, location {scale.location:.3f}, common {scale.common:.3f}")
    start = measure("hilander", faces, labels, "hilander")
    changes = np.zeros(2)
    for seed in range(seeds):
        for change, moved, truth in disturbed(faces, labels, np.random.default_rng(seed)):
            found = measure("hilander", moved, truth, f"  {change}, seed {seed}")
            changes = np.maximum(changes, np.abs(np.subtract(found, start)))
    print(f"  largest change: {changes[0]:.3f}/{changes[1]:.3f}")
    measure("hilander", normalize(faces - faces.mean(axis=0)), labels, "  centred")
    direction = normalize(np.random.default_rng(0).normal(size=(1, faces.shape[1])))
    for length in COMMON:
        measure("hilander", normalize(faces + length * direction), labels, f"  common direction {length:g}")
    for backend in backends:
        measure(backend, faces, labels, backend)


def disturbed(
    faces: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The same corpus with changes that should make no difference."""
    yield "float16", normalize(faces.astype(np.float16)), labels
    order = random.permutation(len(faces))
    yield "order", faces[order], labels[order]
    rotation = np.linalg.qr(random.normal(size=(faces.shape[1],) * 2))[0]
    yield "rotation", normalize(faces @ rotation), labels
    kept = random.random(len(faces)) >= LEFT_OUT
    yield "1 % left out", faces[kept], labels[kept]


def measure(backend: str, faces: np.ndarray, labels: np.ndarray, row: str) -> tuple[float, float]:
    """Clusters and prints a row: Fp/Fb, people and seconds, and what is doubtful."""
    started, clusterer = time.time(), load_clusterer(backend, None)
    graph = KnnGraph.build(faces, clusterer.k)
    found = clusterer.cluster(graph)
    score = scores(labels, found.labels)
    notes = " ".join(f"{key} {value:g}" for key, value in found.notes.items())
    print(
        f"{row:28} {score['pairwise_f']:.3f}/{score['bcubed_f']:.3f} {found.labels.max() + 1:6} clusters "
        f"{time.time() - started:5.1f} s  {notes}  {doubts(graph, found.labels)[:60]}", flush=True,
    )  # fmt: skip
    return score["pairwise_f"], score["bcubed_f"]


if __name__ == "__main__":
    main()
