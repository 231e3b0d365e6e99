"""Do estimates of a clustering's quality hold on corpora that they were not learned on?

    python benchmarks/quality_estimates.py [--json FILE] [--simulated N]

Corpora are identities of the sets at hand (missing ones are skipped), resampled, and simulated ones of another seed.
Nothing was fitted to the real sets. Half of the identities of two of them (even numbers of celeba299 and of CLINC's
training half) served to choose what is looked at; they are left out here. Each corpus is clustered with Hi-LANDER and
in other ways, good and bad ones. Prints the truth and the interval of each figure for Hi-LANDER, the share of corpora
whose interval holds the truth, and how wide intervals are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import CELEBA, CLINC, CLINC_TEST, DLIB, LFW, faces_of

from clustering.graph.knn_graph import KnnGraph
from clustering.learning.versions import random_places
from clustering.quality.estimate import Quality, estimate_quality
from clustering.quality.estimator import FIGURES
from clustering.quality.features import Corpus
from clustering.quality.simulated_clusterings import OTHERS, clusterings
from clustering.quality.simulated_corpora import corpus
from eval.clusters import scores

SEED, SIMULATED = 2026, 12
FIRST = 1_000_000
"""Number of the first simulated corpus, far beyond those that the estimate was learned on."""
COLUMNS = (*FIGURES, "people")
BACKENDS = ("hilander, stricter", "hilander, looser", "components", "components, looser", "dbscan", "hac", "kmeans")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the table of results")
    parser.add_argument("--simulated", type=int, default=SIMULATED)
    arguments = parser.parse_args()
    rows = []
    for name, faces, labels in [*real(), *simulated(arguments.simulated)]:
        rows += measured(name, faces, labels)
        print(line(next(row for row in reversed(rows) if row["by"] == "hilander")), flush=True)
    print(summary(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(table(rows), indent=1) + "\n", encoding="utf-8")


def real() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Resampled identities of the sets at hand: name, unit rows, identities."""
    random = np.random.default_rng(SEED)
    for name, path, odd in (
        ("LFW, MobileFaceNet", LFW, False), ("celeba299, MobileFaceNet", CELEBA, True), ("celeba299, dlib", DLIB, True),
        ("CLINC train", CLINC, True), ("CLINC test", CLINC_TEST, False),
    ):  # fmt: skip
        if not path.exists():
            print(f"skipped {name}: no {path}")
            continue
        faces, labels = faces_of(path)
        kept = labels % 2 == 1 if odd else labels >= 0
        faces, labels = faces[kept], np.unique(labels[kept], return_inverse=True)[1]
        for how, rows in resampled(labels, random).items():
            if len(rows) >= 200:
                yield f"{name}: {how}", faces[rows], labels[rows]


def resampled(labels: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of versions of a set, int64 each, by name."""
    sizes = np.bincount(labels)
    rank = random_places(labels, random)
    some = random.permutation(len(sizes))
    half, third = np.isin(labels, some[: len(some) // 2]), np.isin(labels, some[: len(some) // 3])
    found = {
        "all": labels >= 0, "half of the people": half, "a third of the people": third,
        "one to eight faces": rank < np.minimum(random.geometric(0.35, len(sizes)), 8)[labels],
        "a heavy tail of faces": rank < np.ceil(sizes ** random.random(len(sizes)))[labels],
        "people of ten faces or more": sizes[labels] >= 10,
    }  # fmt: skip
    if sizes.min() >= 10:
        found["people of ten faces or more"] = rank < 30
    return {name: np.flatnonzero(chosen) for name, chosen in found.items()}


def simulated(count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Simulated corpora that the estimate was not learned on."""
    for number in range(count):
        faces = corpus(np.random.default_rng((SEED, FIRST + number)))
        yield f"simulated {number + 1}", faces.embeddings, faces.labels


def measured(name: str, faces: np.ndarray, labels: np.ndarray) -> list[dict[str, object]]:
    """Truth and estimates of all clusterings of a corpus."""
    random = np.random.default_rng(len(labels))
    graph, truth = KnnGraph.build(faces, 10), np.unique(labels, return_inverse=True)[1]
    seen = Corpus.of(graph)
    made = clusterings(graph, truth, seen.cuts, len(OTHERS), random)
    made |= {"one heap": np.zeros(len(truth), np.int64), "all alone": np.arange(len(truth))}
    made.pop("people", None)  # made from the truth, which no method has
    rows = []
    for by, found in made.items():
        quality, figures = estimate_quality(seen, found), scores(truth, found)
        assert quality is not None
        known = {**{key: figures[key] for key in FIGURES}, "people": float(figures["identities"])}
        rows.append({"corpus": name, "faces": len(truth), "by": by, "truth": known, "quality": quality})
    return rows


def intervals(row: dict[str, object]) -> np.ndarray:
    """Float64 [7, 4]: truth, estimate, low and high of each of `COLUMNS`."""
    quality, truth = row["quality"], row["truth"]
    assert isinstance(quality, Quality)
    assert isinstance(truth, dict)
    found = [*(quality.figures[name] for name in FIGURES), quality.people]
    return np.array([(truth[name], x.estimate, x.low, x.high) for name, x in zip(COLUMNS, found, strict=True)])


def held(row: dict[str, object]) -> np.ndarray:
    """Bool [7]: whether the interval holds the truth, to half a unit of the last digit that is written."""
    x = intervals(row)
    slack = np.append(np.full(len(FIGURES), 5e-4), 0.5)
    return (x[:, 2] - slack <= x[:, 0]) & (x[:, 0] <= x[:, 3] + slack)


def half_widths(row: dict[str, object]) -> np.ndarray:
    """Float64 [7]: half of the intervals; of people as a share of the estimate."""
    x = intervals(row)
    return (x[:, 3] - x[:, 2]) / 2 / np.append(np.ones(len(FIGURES)), x[-1, 1])


def line(row: dict[str, object]) -> str:
    """A corpus in one line; a star where the interval misses the truth."""
    cells = [f"{t:.3f} [{a:.3f} {b:.3f}]" for t, _, a, b in intervals(row)[:-1]]
    t, _, a, b = intervals(row)[-1]
    cells.append(f"{t:.0f} [{a:.0f} {b:.0f}]")
    stars = [cell + ("" if good else "*") for cell, good in zip(cells, held(row), strict=True)]
    return f"{row['corpus']} ({row['faces']} faces): " + "  ".join(stars)


def summary(rows: list[dict[str, object]]) -> str:
    """Coverage, mean half-widths and errors by clustering."""
    lines = [f"{'by':22} corpora  held: " + " ".join(COLUMNS)]
    for by in dict.fromkeys(row["by"] for row in rows):
        some = [row for row in rows if row["by"] == by]
        kept, wide = (np.array([f(row) for row in some]) for f in (held, half_widths))
        error = np.mean([np.abs(intervals(row)[:-1, 1] - intervals(row)[:-1, 0]) for row in some], axis=0)
        lines.append(f"{by:22} {len(some)}  held {kept.sum(axis=0)}  half {wide.mean(axis=0).round(3)}  "
                     f"error {error.round(3)}")  # fmt: skip
    return "\n".join(lines)


def table(rows: list[dict[str, object]]) -> dict[str, object]:
    """For results/: one row a kind of corpora and clustering."""
    parts = {
        "Hi-LANDER, real": lambda row: row["by"] == "hilander" and "simulated" not in str(row["corpus"]),
        "Hi-LANDER, simulated": lambda row: row["by"] == "hilander" and "simulated" in str(row["corpus"]),
        "other backends, real": lambda row: row["by"] in BACKENDS and "simulated" not in str(row["corpus"]),
        "other backends, simulated": lambda row: row["by"] in BACKENDS and "simulated" in str(row["corpus"]),
        "one heap": lambda row: row["by"] == "one heap", "all alone": lambda row: row["by"] == "all alone",
    }  # fmt: skip
    found = []
    for name, chosen in parts.items():
        some = [row for row in rows if chosen(row)]
        if some:
            kept, wide = (np.array([f(row) for row in some]) for f in (held, half_widths))
            cells = {c: f"{k}, ±{w:.2f}" for c, k, w in zip(COLUMNS, kept.sum(axis=0), wide.mean(axis=0), strict=True)}
            found.append({"row": name, "clusterings": str(len(some)), **cells})
    titles = ("Pp", "Rp", "Fp", "Pb", "Rb", "Fb", "people")
    columns = [("row", "clustering"), ("clusterings", "number"), *zip(COLUMNS, titles, strict=True)]
    return {
        "title": "Estimates of quality", "command": "python benchmarks/quality_estimates.py", "commit": "see the page",
        "seeds": f"corpora {SEED}", "unit": "clusterings whose interval holds the truth, mean half-width",
        "source": "docs/explanation/quality-estimates.md#results",
        "columns": [{"key": key, "title": title, "show": "text", "digits": 1} for key, title in columns], "rows": found,
    }  # fmt: skip


if __name__ == "__main__":
    main()
