"""Label errors that were planted, found again: strays, people merged under one label, people under two labels.

    python benchmarks/label_noise.py [--sets lfw112,celeba299] [--noise .1,.2,.3] [--seeds 3]

Each set is an archive with ``embeddings`` and ``labels``, of people with two faces or more. A share of the faces
becomes strays, half of them of another person in the set (``strays of others``), half of people who are not
(``strays of nobody``: all faces of some people, each under a label that is drawn). Or a share of the people are merged
in pairs, threes or fours under one label, or have their faces cut at random under two labels. Precision, recall and F1
are of faces, of labels and of pairs of labels. ``all kinds`` has all of them at once, each with a third of the share.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import CELEBA, LFW

from clustering.cleaning.clean import Cleaned, clean
from clustering.cleaning.people import halves
from clustering.partition import consecutive, own_cluster_size

SETS = {"lfw112": LFW, "celeba299": CELEBA}
MERGED = {"merged": 2, "threes merged": 3, "fours merged": 4, "all kinds": 2}
"""People under one label."""
KINDS = ("strays of others", "strays of nobody", "strays", *MERGED, "split")


class Planted(NamedTuple):
    """A labelled set with errors in it.

    Attributes:
        embeddings: float32 [n, d].
        labels: int64 [n], with the errors.
        truth: int64 [n], the people.
        stray: Bool [n].
        merged: The labels that are of several people.
        split: Pairs of labels that are one person's.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    stray: np.ndarray
    merged: set[int]
    split: set[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--noise", default=".1,.2,.3")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'set':10} {'planted':18} {'share':>5}  {'found':8} {'precision':>9} {'recall':>7} {'F1':>6} {'sec.':>8}")
    for name in arguments.sets.split(","):
        path = SETS.get(name, Path(name))
        if not path.exists():
            print(f"{name}: skipped, no {path}")
            continue
        embeddings, people = read(path)
        for kind in arguments.kinds.split(","):
            for share in map(float, arguments.noise.split(",")):
                runs = [measured(embeddings, people, kind, share, seed) for seed in range(arguments.seeds)]
                for found in runs[0]:
                    precision, recall, f1, seconds = np.mean([run[found] for run in runs], axis=0)
                    start = f"{name:10} {kind:18} {share:5.0%}  {found:8}"
                    print(f"{start} {precision:9.3f} {recall:7.3f} {f1:6.3f} {seconds:8.1f}", flush=True)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The faces of people with two or more."""
    with np.load(path, allow_pickle=False) as archive:
        embeddings, people = archive["embeddings"], archive["labels"].astype(np.int64)
    kept = own_cluster_size(consecutive(people)) > 1
    return np.ascontiguousarray(embeddings[kept]), consecutive(people[kept])


def measured(
    embeddings: np.ndarray, people: np.ndarray, kind: str, share: float, seed: int
) -> dict[str, tuple[float, ...]]:
    """Of each kind of error that was planted, precision, recall, F1, and the seconds of the whole."""
    planted = plant(embeddings, people, kind, share, seed)
    begun = time.perf_counter()
    found = clean(planted.embeddings, planted.labels)
    seconds = time.perf_counter() - begun
    sets = {
        "strays": (set(np.flatnonzero(found.is_stray)), set(np.flatnonzero(planted.stray))),
        "merged": (set(found.names[found.mixed_labels].tolist()), planted.merged),
        "split": (pairs_of(found), planted.split),
    }
    return {name: (*scored(*each), seconds) for name, each in sets.items() if each[1]}


def pairs_of(found: Cleaned) -> set[tuple[int, int]]:
    """The pairs of given labels that were joined."""
    left, right = (found.name_of(each[found.joined]) for each in (found.twins.left, found.twins.right))
    return {(int(min(pair)), int(max(pair))) for pair in zip(left, right, strict=True)}


def scored(found: set, planted: set) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    right = len(found & planted)
    precision, recall = right / max(len(found), 1), right / max(len(planted), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def plant(embeddings: np.ndarray, people: np.ndarray, kind: str, share: float, seed: int) -> Planted:
    """Plants errors of a kind in a share of the faces (strays) or people (the others)."""
    generator = np.random.default_rng(seed)
    count = int(people.max()) + 1
    order, labels = generator.permutation(count), people.copy()
    part = share / 3 if kind == "all kinds" else share
    merged, split = set(), set()
    if size := MERGED.get(kind):
        first, order = np.split(order, [round(part * count / size) * size])
        number = np.arange(count)
        number[first] = first[::size].repeat(size)
        labels, merged = number[labels], set(first[::size].tolist())
    if kind in ("split", "all kinds"):
        chosen, order = order[: round(part * count)], order[round(part * count) :]
        parts, _ = halves(np.where(np.isin(people, chosen), people, -1), seed)
        labels = np.where((parts >= 0) & (parts % 2 == 1), count + people, labels)
        split = {(int(each), int(count + each)) for each in chosen}
    stray = np.zeros(len(people), bool)
    if "strays" in kind or kind == "all kinds":
        both = kind in ("strays", "all kinds")
        wanted = part * len(people) / (2 if both else 1)
        if kind != "strays of others":
            sizes = np.bincount(people)[order]
            lone = order[: np.searchsorted(np.cumsum(sizes), wanted) + 1]
            stray = np.isin(people, lone)
        if kind != "strays of nobody":
            stray[generator.choice(np.flatnonzero(~stray), round(wanted), replace=False)] = True
        rows = np.flatnonzero(stray)
        pool = np.flatnonzero(~stray)
        drawn = labels[generator.choice(pool, len(rows))]
        again = people[rows] == drawn
        drawn[again] = labels[generator.choice(pool, int(again.sum()))]
        stray[rows[people[rows] == drawn]] = False
        labels[rows] = drawn
    return Planted(embeddings, labels, people, stray, merged, split)


if __name__ == "__main__":
    main()
