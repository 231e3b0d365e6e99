"""Seconds and memory of Hi-LANDER after the kNN graph, part by part, beside the machine's matrix multiplication.

    python benchmarks/hilander_speed.py [--embeddings EMBEDDINGS.npz] [--million] [--threads 2]

Faces are simulated: new centres with the mean and covariance of real ones, faces around them like those around real
ones (`clustering.learning.versions.transplanted`), and a heavy tail of faces an identity. The archive holds
``embeddings`` float32 [n, d] and ``labels`` int64 [n]; without it all is Gaussian. Two networks link: the default (edge
inputs alone, 32 wide) and the public reference's (a graph convolution 512 wide, a head 256 wide, random weights). Both
climb the same levels: those that the default's linkage makes, after a short training on simulated faces. Each figure is
the least of three runs (of one at a million). The parts' seconds are CPU seconds over threads, which other work on the
machine disturbs less than the clock; the rate is of a large product in fp32, measured in the same run.
"""

import argparse
import ctypes
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial, wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from common import CELEBA, gemm_rate

from clustering.backends.hilander import climb, engines
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.versions import centres_and_residuals, new_faces_of, transplanted
from facerec.pipeline.embeddings import normalize

K, TRAINING_FACES, IDENTITIES = 10, 4000, 10_000
PARTS = {"pseudo_density": "density", "decode": "decode", "trees": "trees", "merge": "merge + kNN"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", type=Path, default=CELEBA)
    parser.add_argument("--million", action="store_true", help="a million faces, too (the graph takes long)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--p-tau", type=float, default=0.5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    faiss.omp_set_num_threads(arguments.threads)
    faces, labels = load(arguments.embeddings)
    print(f"simulated from {arguments.embeddings.name if arguments.embeddings.exists() else 'Gaussians'}")
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        small = apart.submit(trained, faces, labels).result()
    wide = LinkageModel("features", 2 * faces.shape[1], width=512, hidden=256, encoder="reference")
    wide = wide.to(next(small.parameters()).device)
    for n in (10_000, 100_000, *([1_000_000] if arguments.million else [])):
        graph = KnnGraph.build(simulate(faces, labels, n)[0], K)
        for name, model, features in (("default", small, "average"), ("reference", wide, "reference")):
            report(name, model, small, features, graph, arguments)


def trained(faces: np.ndarray, labels: np.ndarray) -> LinkageModel:
    """The default network, trained in a process of its own: in this one it would leave memory in pieces."""
    return HiLander.learn(*simulate(faces, labels, TRAINING_FACES, seed=1), seed=0, epochs=5).model


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and labels of an archive, or Gaussian ones."""
    if path.exists():
        with np.load(path, allow_pickle=False) as archive:
            return archive["embeddings"], archive["labels"]
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(300), 20)
    return normalize(random.normal(size=(300, 128))[labels] + 0.8 * random.normal(size=(len(labels), 128))), labels


def simulate(embeddings: np.ndarray, labels: np.ndarray, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`n` faces in any order: a new centre an identity, and faces around it as a real identity's are around its own.

    Each face is made of two real ones by `mixed`, and carried over by `transplanted`. Centres are Gaussian with the
    mean and covariance of the real ones.
    """
    random = np.random.default_rng(seed)
    centres, residuals, inverse = centres_and_residuals(LabelledFaces(embeddings, labels))
    sizes = np.ceil(random.lognormal(1.5, 1.2, n)).astype(int).clip(1, 1000)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), n) + 1]
    owner = np.repeat(np.arange(len(sizes)), sizes)[:n]
    donors, mean = random.integers(0, len(centres), len(sizes)), centres.mean(axis=0)
    places, faces, truth = random.permutation(n), np.empty((n, embeddings.shape[1]), np.float32), np.empty(n, np.int64)
    for first in range(0, len(sizes), IDENTITIES):
        block = slice(*np.searchsorted(owner, [first, first + IDENTITIES]))
        donor = donors[owner[block]]
        real = new_faces_of(centres, residuals, inverse, donor, random)
        chosen = random.normal(size=(min(IDENTITIES, len(sizes) - first), len(centres))) / np.sqrt(len(centres))
        new, rows = mean + chosen @ (centres - mean), np.arange(len(real))
        faces[places[block]] = transplanted(real, centres[donor], rows, new, owner[block] - first, random)
        truth[places[block]] = owner[block]
    return faces, truth


def report(name: str, model: LinkageModel, guide: LinkageModel, features: str, graph: KnnGraph, arguments: Any) -> None:
    """Climbs with the guide's linkage, times each part, and prints the least of the runs."""
    before = resident()
    runs = [timed(model, guide, features, graph, arguments.p_tau)]
    memory = resident(peak=True) - before
    runs += [timed(model, guide, features, graph, arguments.p_tau) for _ in range(2 if len(graph) < 10**6 else 0)]
    spent, nodes, _ = min(runs, key=lambda run: sum(run[0].values()))
    rate = gemm_rate()
    multiplied = operations(model, nodes)
    arrays = graph.embeddings.nbytes + graph.neighbors.nbytes + graph.similarities.nbytes
    threads = arguments.threads
    print(
        f"\n{name}: {len(graph):,} faces, levels of {', '.join(f'{count:,}' for count in nodes)} nodes; fp32 GEMM "
        f"{rate * threads / 1e9:.0f} GFLOP/s with {threads} threads"
    )
    for part, seconds in spent.items():
        print(f"  {part:12} {seconds / threads:8.3f} s")
    print(f"  {'all':12} {sum(spent.values()) / threads:8.3f} s; {min(run[2] for run in runs):.3f} s of the clock")
    print(
        f"  link: {multiplied / 1e9:.0f} GFLOP at {multiplied / spent['link'] / rate:.0%} of the GEMM rate; memory: "
        f"{memory / 2**20:.0f} MiB, {memory / arrays:.2f} of embeddings and graph, on top of them",
        flush=True,
    )


def timed(
    model: LinkageModel, guide: LinkageModel, features: str, graph: KnnGraph, p_tau: float
) -> tuple[dict[str, float], list[int], float]:
    """CPU seconds of each part of all levels, the number of nodes of each level, and seconds of the clock in all."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*values: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return function(*values, **named)
            finally:
                spent[part] += time.process_time() - started

        return wrapper

    measured, guiding = clocked("link", partial(engines.link, model)), 0.0

    def link(level: Level) -> np.ndarray:
        nonlocal guiding
        found: np.ndarray = measured(level)
        if model is guide:
            return found
        started = time.perf_counter()
        found = engines.link(guide, level)
        guiding += time.perf_counter() - started
        return found

    originals = {function: getattr(climb, function) for function in PARTS}
    for function, part in PARTS.items():
        setattr(climb, function, clocked(part, originals[function]))
    try:
        started = time.perf_counter()
        nodes = [len(step.parents) for step in climb.climb(graph, link, p_tau, features, K)]
        wall = time.perf_counter() - started - guiding
    finally:
        for function, original in originals.items():
            setattr(climb, function, original)
    return dict(spent), nodes, wall


def operations(model: LinkageModel, nodes: list[int]) -> float:
    """Floating-point operations of the matrix products that all levels need; nodes are in fact encoded twice."""
    edge = 2 * model.hidden * (model.hidden + 2)
    if model.inputs == "similarities":
        return sum(nodes) * K * float(edge + 2 * model.edge_mlp.in_features * model.hidden)
    inputs = [2 * model.dimension] * len(nodes)
    inputs[0] = model.dimension  # a face's identity and average feature are the same
    return sum(
        n * float(2 * model.width * (size + 2 * model.hidden) + K * edge) for n, size in zip(nodes, inputs, strict=True)
    )


def resident(peak: bool = False) -> float:
    """Bytes of memory that this process has now, or its peak since the last call without `peak`; NaN but on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return np.nan
    if not peak:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again without being seen
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) * 1024.0 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
