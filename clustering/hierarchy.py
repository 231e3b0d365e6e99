"""The hierarchy of a clustering: its levels as a table, a cut at one level, and the path of a face to its peak."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustering.partition import consecutive, own_cluster_size
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, load_array
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.values import as_path, is_whole, shown

logger = logging.getLogger(__name__)

KINDS = {"parents": "iu", "peaks": "iu", "densities": "f", "linkage": "f"}
"""The arrays of a level beside its labels, where the backend saves them, and the kinds of their values."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The levels of a clustering, finest first.

    Attributes:
        levels: For each level a mapping of names to arrays. It always has the ``labels`` of the n faces; Hi-LANDER adds
            those of `KINDS`.
        origin: Where the levels come from, for error messages.
    """

    levels: Sequence[Mapping[str, np.ndarray]]
    origin: str = "the clustering"

    def __post_init__(self) -> None:
        if not isinstance(self.levels, Sequence):
            raise InputError(f"levels is {shown(self.levels)}; expected a list of levels")
        all_labels = [level.get("labels") for level in self.levels if isinstance(level, Mapping)]
        labels = [each for each in all_labels if isinstance(each, np.ndarray) and each.dtype.kind in "iu"]
        shapes = {each.shape for each in labels}
        if len(labels) != len(self.levels) or len(shapes) != 1 or len(shapes.pop()) != 1:
            raise InputError(
                f"{self.origin}: expected levels, each with the 'labels' of the same faces, an array of integers [n]"
            )

    def __repr__(self) -> str:
        clusters = ", ".join(f"{row['clusters']:,}" for row in self.table())
        return f"<Hierarchy of {counted(len(self.levels[0]['labels']), 'face')}: {clusters} clusters>"

    @classmethod
    def load(cls, clusters: str | Path) -> Hierarchy:
        """Loads the levels of a clustering folder as memory maps.

        Raises:
            InputError: There are no levels, their numbers have a gap, or their arrays do not fit each other.
        """
        clusters = as_path("clusters", clusters)
        folder = clusters / "levels"
        if not clusters.is_dir():
            raise InputError(f"{clusters}: no such folder; give one that cluster made")
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        if not names:
            raise InputError(f"{folder}: no levels; make a hierarchy with cluster --backend hilander, lander or finch")
        if names != [f"{number:02d}" for number in range(len(names))]:
            raise InputError(f"{folder}: levels {', '.join(names)}; expected 00 and so on without a gap")
        labels = load_labels(clusters)
        rows = len(labels)
        levels: list[dict[str, np.ndarray]] = []
        for name in names:
            levels.append(_load_level(folder / name, rows, levels[-1] if levels else None))
        found = cls(levels, str(clusters))
        if not found.has(labels):
            logger.warning("%s: labels.npy has clusters of none of its levels; are they of the same faces?", clusters)
        return found

    def has(self, labels: np.ndarray) -> bool:
        """Whether each of these clusters is also a cluster of some level, with any number, or a single face.

        The clusters of FINCH are of several levels.
        """
        if any(np.array_equal(level["labels"], labels) for level in self.levels):
            return True
        wanted = consecutive(labels)
        sizes = own_cluster_size(wanted)
        found = sizes <= 1
        for level in self.levels:
            there = consecutive(level["labels"])
            both = np.where((wanted < 0) | (there < 0), -1, wanted * len(labels) + there)
            shared = own_cluster_size(consecutive(both))
            found |= (shared == sizes) & (shared == own_cluster_size(there))
        return bool(found.all())

    def table(self) -> list[dict[str, Any]]:
        """One row per level: ``level``, ``clusters``, ``mean_size``, ``singletons``, ``largest``, ``edges``.

        ``edges`` counts the edges that the level added: the nodes that it started from, less the clusters that it made.
        """
        rows, nodes = [], int(np.count_nonzero(self.levels[0]["labels"] >= 0))
        for number, level in enumerate(self.levels):
            sizes = np.unique(level["labels"][level["labels"] >= 0], return_counts=True)[1]
            rows.append({
                "level": number, "clusters": len(sizes), "mean_size": float(sizes.mean()) if len(sizes) else 0.0,
                "singletons": int(np.count_nonzero(sizes == 1)), "largest": int(sizes.max(initial=0)),
                "edges": nodes - len(sizes),
            })  # fmt: skip
            nodes = len(sizes)
        return rows

    def cut(self, level: int) -> np.ndarray:
        """Returns the clusters of a level, int64 [n], -1 for unassigned faces.

        Raises:
            InputError: There is no such level.
        """
        if not is_whole(level) or not 0 <= level < len(self.levels):
            raise InputError(f"level is {shown(level)}; {self.origin} has levels 0 to {len(self.levels) - 1}")
        return consecutive(self.levels[level]["labels"])

    def trace(self, face: int) -> list[dict[str, Any]]:
        """Returns the path of a face up to the peak of its cluster on the last level, node by node.

        Returns:
            One row per node: its ``level``, the ``node`` itself, its ``density``, and the ``peak`` of its cluster on
            that level. ``next`` is the next node on the path, and ``linkage`` is the linkage of the edge to it. Both
            are None at the peak. Nodes are named by their faces.

        Raises:
            InputError: There is no such face, it is unassigned, or the levels have no edges.
        """
        rows = len(self.levels[0]["labels"])
        if not is_whole(face) or not 0 <= face < rows:
            raise InputError(f"face is {shown(face)}; {self.origin} has rows 0 to {rows - 1}")
        for name in KINDS:
            if any(name not in level for level in self.levels):
                raise InputError(
                    f"{self.origin}: the levels have no {name}.npy; trace needs those of hilander or lander"
                )
        if self.levels[0]["labels"][face] < 0:
            raise InputError(f"{self.origin}: face {face} is in no cluster; it could not be read")
        way: list[dict[str, Any]] = []
        node, below = face, np.arange(rows)
        for number, level in enumerate(self.levels):
            way += _climb(number, level, below, node)
            node, below = way[-1]["node"], level["labels"]
        return way


def _climb(number: int, level: Mapping[str, np.ndarray], places: np.ndarray, node: int) -> list[dict[str, Any]]:
    """The way within one level; `places` has the place of every node among the level's nodes."""
    way: list[dict[str, Any]] = []
    peak = int(level["peaks"][level["labels"][node]])
    while not way or way[-1]["next"] is not None:
        place, node = places[node], int(node)
        at_peak = node == peak
        following = None if at_peak else int(level["parents"][place])
        linkage = None if at_peak else float(level["linkage"][place])
        density = float(level["densities"][place])
        way.append(
            {"level": number, "node": node, "next": following, "linkage": linkage, "density": density, "peak": peak}
        )
        if len(way) > len(level["parents"]):
            raise InputError(f"level {number}: the edges from face {way[0]['node']} go in a circle; cluster again")
        node = following if following is not None else node
    return way


def _check_nested(folder: Path, labels: np.ndarray, below: np.ndarray) -> None:
    """Refuses a level that is not made of the clusters of the level below: it is of other faces."""
    below = consecutive(below) if below.max() >= len(below) else below
    inside = np.full(below.max() + 2, -1, np.int64)  # the last is of faces in no cluster
    inside[below] = labels
    apart = np.flatnonzero(inside[below] != labels)
    if apart.size:
        face = apart[0]
        raise InputError(
            f"{folder}: face {face} is in cluster {labels[face]}, others of its cluster {below[face]} on the level "
            "below are not; the levels are not of one clustering; cluster again"
        )


def _load_level(folder: Path, rows: int, below: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    level = {"labels": load_labels(folder, rows)}
    if below is not None:
        _check_nested(folder, level["labels"], below["labels"])
    level |= {
        name: load_array(folder / f"{name}.npy", kind, ndim=1)
        for name, kind in KINDS.items()
        if (folder / f"{name}.npy").exists()
    }
    nodes = rows if below is None else len(below.get("peaks", ()))
    wanted = {"peaks": int(level["labels"].max()) + 1, "densities": nodes, "parents": nodes, "linkage": nodes}
    for name, length in wanted.items():
        if name in level and len(level[name]) != length:
            raise InputError(f"{folder / name}.npy: {len(level[name])} values, expected {length}; cluster again")
    unassigned = np.count_nonzero(level["labels"] < 0) if below is None else 0
    for name, missing in (("peaks", 0), ("parents", unassigned)):
        if name not in level:
            continue
        if level[name].max(initial=0) >= rows or np.count_nonzero(level[name] < 0) != missing:
            raise InputError(f"{folder / name}.npy: not the rows of {rows} faces; cluster again")
    return level
