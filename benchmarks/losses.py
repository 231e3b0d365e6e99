"""Every loss on the same real faces: a small MobileFaceNet from scratch, tested on LFW.

    python benchmarks/losses.py [--train FOLDER] [--data FOLDER] [--rows "a;b"] [--seeds N] [--steps N]

Trains on a folder of images an identity (celeba299), all options but the loss alike and each loss with its own
defaults, and prints 10-fold accuracy on LFW's pairs, and FNMR@FMR on LFW as IJB-C templates. ``--data`` holds
``lfw112``, ``lfw_pairs.txt``, ``lfw_ijbc_format`` and the embeddings that Hi-LANDER's levels come from. Finished parts
are kept in ``--out``, so that more seeds or rows can be added later. Without the data it says so and ends.
"""

import argparse
from pathlib import Path

import numpy as np
from common import CELEBA, DATA, command

from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import read_json

ROWS = {
    "softmax": ["--loss", "softmax"],
    "cosface": ["--loss", "cosface"],
    "arcface": ["--loss", "arcface"],
    "combined": ["--loss", "combined"],
    "adaface": ["--loss", "adaface"],
    "cosface, 3 sub-centres": ["--loss", "cosface", "--subcentres", "3"],
    "cosface, Partial FC .3": ["--loss", "cosface", "--sample-rate", "0.3"],
    "proxy_nca": ["--loss", "proxy_nca"],
    "proxy_anchor": ["--loss", "proxy_anchor"],
    "proxy_nca, k-means": ["--loss", "proxy_nca", "--hierarchy", "kmeans"],
    "proxy_anchor, k-means": ["--loss", "proxy_anchor", "--hierarchy", "kmeans"],
    "proxy_nca, Hi-LANDER": ["--loss", "proxy_nca", "--hierarchy", "LEVELS"],
    "proxy_anchor, Hi-LANDER": ["--loss", "proxy_anchor", "--hierarchy", "LEVELS"],
}
NETWORK = ["--width", "0.375", "--input-size", "40", "--batch-size", "64", "--workers", "1"]
FIGURES = ("accuracy, %", "FNMR@1e-2", "@1e-3, %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, default=DATA / "celeba299")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/losses"))
    parser.add_argument("--rows", default=";".join(ROWS), help="separated by semicolons")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    arguments = parser.parse_args()
    needed = [arguments.train, *(arguments.data / name for name in ("lfw112", "lfw_pairs.txt", CELEBA.name))]
    if missing := [str(path) for path in needed if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; give --train and --data")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = arguments.rows.split(";")
    found = {row: np.full((arguments.seeds, len(FIGURES)), np.nan) for row in rows}
    print(f"{'loss':26} seed", *(f"{name:>12}" for name in FIGURES))
    for seed in range(arguments.seeds):
        for row in rows:
            found[row][seed] = figures(row, seed, arguments)
            print(f"{row:26} {seed:4}", *(f"{100 * value:12.2f}" for value in found[row][seed]), flush=True)
    print("mean and half the range over seeds")
    for row, values in found.items():
        spread = (values.max(axis=0) - values.min(axis=0)) / 2
        print(
            f"{row:31}", *(f"{100 * m:6.2f} ±{100 * s:4.2f}" for m, s in zip(values.mean(axis=0), spread, strict=True))
        )


def figures(row: str, seed: int, arguments: argparse.Namespace) -> tuple[float, float, float]:
    """Trains, embeds LFW and evaluates; what is finished already is not repeated."""
    here = arguments.out / f"{row.replace(',', '').replace(' ', '-')}-{seed}"
    here.mkdir(exist_ok=True)
    levels = hierarchy(arguments) if "LEVELS" in ROWS[row] else Path()
    options = [str(levels) if option == "LEVELS" else option for option in ROWS[row]]
    command("facerec", "train", "--faces", arguments.train, *options, *NETWORK, "--steps", arguments.steps,
            "--seed", seed, "--out", here / "model")  # fmt: skip
    command("facerec", "embed", "--model", here / "model", "--faces", arguments.data / "lfw112", "--out", here / "lfw")
    command("eval", "pairs", "--pairs", arguments.data / "lfw_pairs.txt", "--embeddings", here / "lfw",
            "--out", here / "pairs")  # fmt: skip
    command("eval", "ijb", "--protocol", arguments.data / "lfw_ijbc_format", "--embeddings", here / "lfw",
            "--out", here / "ijb")  # fmt: skip
    errors = read_json(here / "ijb" / "metrics.json")["fnmr_at_fmr"]
    return read_json(here / "pairs" / "metrics.json")["accuracy"], errors["1e-2"], errors["1e-3"]


def hierarchy(arguments: argparse.Namespace) -> Path:
    """Hi-LANDER's levels of the training faces, by the package's model on another recogniser's embeddings."""
    faces, clusters = arguments.out / "embeddings", arguments.out / "clusters"
    if not faces.exists():
        with np.load(arguments.data / CELEBA.name, allow_pickle=False) as archive:
            order = np.argsort(archive["files"])
            faces.mkdir()
            save_embeddings(faces, archive["embeddings"][order])
    command("clustering", "cluster", "--backend", "hilander", "--embeddings", faces, "--out", clusters)
    return clusters


if __name__ == "__main__":
    main()
