"""Draws a climb of Hi-LANDER level by level: python docs/tools/climb_picture.py [--embeddings FILE.npz] [--out FILE].

Nodes are drawn where t-SNE puts the faces below them, on average. Without a file the faces are simulated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from sklearn.manifold import TSNE

from clustering import Hierarchy, HiLander
from clustering.learning.simulated import corpus
from facerec.pipeline.embeddings import normalize

PEOPLE, FACES = 9, 24


def some_faces(file: Path | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings float32 [n, d] and identities int64 [n] of `PEOPLE` people with at most `FACES` faces each."""
    random = np.random.default_rng(seed)
    if file is None:
        X, y = corpus("large", random)
    else:
        content = np.load(file)
        X, y = content["embeddings"], content["labels"]
    chosen = random.choice(np.unique(y), PEOPLE, replace=False)
    rows = np.concatenate([np.flatnonzero(y == person)[:FACES] for person in chosen])
    return normalize(X[rows]), np.unique(y[rows], return_inverse=True)[1]


def draw(hierarchy: Hierarchy, places: np.ndarray, people: np.ndarray, out: Path) -> None:
    """Writes the picture: a panel a level.

    Args:
        hierarchy: Of Hi-LANDER, n faces.
        places: [n, 2], where the faces lie.
        people: int64 [n], identities, for the colours.
        out: The picture.
    """
    figure, panels = plt.subplots(1, len(hierarchy.levels), figsize=(5 * len(hierarchy.levels), 5.2), squeeze=False)
    below = np.arange(len(people))  # the node that each face belongs to, by its face
    for number, (panel, level) in enumerate(zip(panels[0], hierarchy.levels, strict=True)):
        nodes = np.arange(len(people)) if number == 0 else hierarchy.levels[number - 1]["peaks"]
        where = {int(node): places[below == node].mean(axis=0) for node in nodes}
        sizes = np.array([np.count_nonzero(below == node) for node in nodes])
        points = np.array([where[int(node)] for node in nodes])
        lines = [(where[int(node)], where[int(up)]) for node, up in zip(nodes, level["parents"], strict=True)]
        panel.add_collection(LineCollection(lines, colors="0.35", linewidths=0.8, zorder=1))
        panel.scatter(*points.T, s=14 + 5 * sizes, c=people[nodes], cmap="tab10", zorder=2)
        peaks = np.isin(nodes, level["peaks"])
        panel.scatter(*points[peaks].T, s=34 + 6 * sizes[peaks], facecolors="none", edgecolors="black", zorder=3)
        panel.set_title(f"level {number}: {len(nodes)} nodes, {len(level['peaks'])} clusters", fontsize=10)
        panel.set_axis_off()
        below = level["peaks"][level["labels"]]
    figure.tight_layout()
    figure.savefig(out, dpi=90)


def main() -> None:
    """Clusters and draws."""
    parser = argparse.ArgumentParser(description="Draws a climb of Hi-LANDER level by level.")
    parser.add_argument("--embeddings", type=Path, help=".npz with embeddings [n, d] and labels [n]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/climb.png"))
    options = parser.parse_args()
    X, people = some_faces(options.embeddings, options.seed)
    clusterer = HiLander.from_pretrained()
    clusterer.fit(X)
    places = TSNE(metric="cosine", init="random", random_state=options.seed, perplexity=60).fit_transform(X)
    draw(clusterer.hierarchy_, places, people, options.out)


if __name__ == "__main__":
    main()
