"""How near the exact kNN graph comes to the machine's matrix multiplication, measured in the same run.

    python benchmarks/knn_graph.py [--n 50000] [--d 128] [--k 10]

The floor is n^2 d multiply-adds at the rate of a large fp32 GEMM.
"""

import argparse
import time

import numpy as np
import torch

from clustering.knn import KnnGraph
from facerec.artifacts import normalize

GEMM = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000, help="faces")
    parser.add_argument("--d", type=int, default=128, help="dimensions")
    parser.add_argument("--k", type=int, default=10, help="neighbours")
    arguments = parser.parse_args()
    faces = normalize(np.random.default_rng(0).normal(size=(arguments.n, arguments.d)))
    started = time.perf_counter()
    KnnGraph.build(faces, arguments.k)
    seconds = time.perf_counter() - started
    operations = 2 * arguments.n**2 * arguments.d
    floor = operations / gemm_rate()
    print(f"{'n':>9} {'d':>5} {'k':>4} {'seconds':>9} {'GFLOP/s':>9} {'floor, s':>9} {'share of GEMM rate':>19}")
    print(
        f"{arguments.n:9,} {arguments.d:5} {arguments.k:4} {seconds:9.2f} {operations / seconds / 1e9:9.0f} "
        f"{floor:9.2f} {floor / seconds:18.0%}"
    )


def gemm_rate(repeats: int = 5) -> float:
    """Fp32 operations a second of a square matrix product, the best of some."""
    a, b = torch.rand(GEMM, GEMM), torch.rand(GEMM, GEMM)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * GEMM**3 / min(times)


if __name__ == "__main__":
    main()
