"""Every backend on embeddings of people it has never seen: tuned on one set, scored on another.

    python benchmarks/backends.py --tune EMBEDDINGS.npz --test EMBEDDINGS.npz [--backends a,b]

Each archive holds ``embeddings`` float32 [n, d] and ``labels`` int64 [n]. Without them it says so and ends.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from clustering.base import BACKENDS
from eval.clusters import scores
from facerec.artifacts import read_json, save_embeddings

DATA = Path(os.environ.get("FACEREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", type=Path, default=DATA / "embeddings_celeba299_mobilefacenet128.npz")
    parser.add_argument("--test", type=Path, default=DATA / "embeddings_lfw112_mobilefacenet128.npz")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    arguments = parser.parse_args()
    if missing := [str(path) for path in (arguments.tune, arguments.test) if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; give --tune and --test")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("tune", "test"):
            with np.load(getattr(arguments, part), allow_pickle=False) as archive:
                (folder / part).mkdir()
                save_embeddings(folder / part, archive["embeddings"], labels=archive["labels"])
        clustering(folder, "knn", "--embeddings", "test", "--k", "20", "--out", "knn")
        print(f"{'backend':10} {'Fp':>6} {'Fb':>6} {'NMI':>6} {'clusters':>9} {'tune, s':>8} {'run, s':>8} {'MiB':>6}")
        for backend in arguments.backends.split(","):
            print(row(folder, backend), flush=True)


def row(folder: Path, backend: str) -> str:
    """Tunes and clusters in processes of their own, and formats the figures."""
    tuned, found = f"tuned-{backend}", f"clusters-{backend}"
    clustering(folder, "tune", "--backend", backend, "--embeddings", "tune", "--out", tuned)
    clustering(
        folder,
        "cluster",
        "--backend",
        backend,
        "--model",
        tuned,
        "--embeddings",
        "test",
        "--knn",
        "knn",
        "--out",
        found,
    )
    figures = scores(np.load(folder / "test" / "labels.npy"), np.load(folder / found / "labels.npy"))
    tuning, run = read_json(folder / tuned / "meta.json"), read_json(folder / found / "meta.json")
    memory = run["peak_memory_bytes"] / 2**20
    return (
        f"{backend:10} {figures['pairwise_f']:6.3f} {figures['bcubed_f']:6.3f} {figures['nmi']:6.3f} "
        f"{figures['clusters']:9,.0f} {tuning['seconds']:8.1f} {run['seconds']:8.2f} {memory:6.0f}"
    )


def clustering(folder: Path, *arguments: str) -> None:
    """Runs a command of the package."""
    subprocess.run([sys.executable, "-m", "clustering", *arguments], cwd=folder, check=True, stderr=subprocess.PIPE)


if __name__ == "__main__":
    main()
