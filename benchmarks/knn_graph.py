"""How near the exact kNN graph comes to the machine's matrix multiplication, measured in the same run.

    python benchmarks/knn_graph.py [--n 50000] [--d 128] [--k 10]

The floor is n^2 d multiply-adds at the rate of a large fp32 GEMM. Seconds are CPU seconds of all threads, which other
work on the machine disturbs less than those of the clock.

Tried for the exact graph and left out, on one core of an AMD EPYC (Zen 4), which has AVX-512 bfloat16 instructions and
no AMX, at n = 50,000, d = 128, k = 10, in CPU seconds scaled up from 8,192 queries: faiss's whole search in fp32 takes
10.0. Bfloat16 GEMMs alone take 3.7 to 4.1; with the maxima of groups of 16 or 32 columns, by which rows can be chosen,
4.3 to 5.4 (one shape 9.8); with torch.topk of each block 10.3. The whole of it, groups chosen and their rows scored
again in fp32, took 23.5 (24 groups of 16) and 39.2 (48 groups) for the same neighbours. A large bfloat16 GEMM was 1.9
to 2.1 times as fast as one in fp32. Scoring grows with n, the GEMMs with its square, so this may turn at larger n;
neither that nor a processor with AMX has been measured.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # or idle threads spin, which counts as CPU time

import numpy as np
from common import gemm_rate, seconds

from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import normalize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000, help="faces")
    parser.add_argument("--d", type=int, default=128, help="dimensions")
    parser.add_argument("--k", type=int, default=10, help="neighbours")
    arguments = parser.parse_args()
    faces = normalize(np.random.default_rng(0).normal(size=(arguments.n, arguments.d)))
    spent = seconds(lambda: KnnGraph.build(faces, arguments.k))
    operations = 2 * arguments.n**2 * arguments.d
    floor = operations / gemm_rate()
    print(f"{'n':>9} {'d':>5} {'k':>4} {'CPU s':>9} {'GFLOP/s':>9} {'floor, s':>9} {'share of GEMM rate':>19}")
    print(
        f"{arguments.n:9,} {arguments.d:5} {arguments.k:4} {spent:9.2f} {operations / spent / 1e9:9.0f} "
        f"{floor:9.2f} {floor / spent:18.0%}"
    )


if __name__ == "__main__":
    main()
