"""One cell of the arena: a method on a set with a setting, clustered once and kept."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from arena.choices import Effort, best_on, tuned
from arena.methods import COMPILED, TWINS, Method
from arena.sets import TestSet
from clustering.clusterer import Clusterer
from clustering.comparison.runs import plain_settings
from clustering.graph.knn_graph import KnnGraph
from eval.clusters import scores
from facerec.pipeline.files import InputError, read_json, write_json

SETTINGS = ("published", "tuned", "oracle")
SEPARATOR = " / "
"""Between the parts of a cell's key."""
MEBIBYTE = 1 << 20
KILOBYTE = 1 << 10


@dataclass(frozen=True)
class Cell:
    """The result of a method on a set with a setting.

    Attributes:
        method: Name of the method.
        set_name: Name of the set.
        setting: One of `SETTINGS`.
        key: Everything the result depends on, see `key_of`. A cell with another key is out of date.
        reason: Why there is no result; empty if there is one.
        figures: The scores, see `eval.clusters.scores`.
        settings: Settings of the clusterer.
        trials: Number of settings that tuning or the oracle tried.
        seconds: CPU seconds to cluster the graph.
        search_seconds: CPU seconds of tuning or of the oracle.
        memory: Peak memory in MiB above what was in use before; 0 where the system does not tell.
    """

    method: str
    set_name: str
    setting: str
    key: str
    reason: str = ""
    figures: Mapping[str, float] | None = None
    settings: Mapping[str, Any] | None = None
    trials: int = 0
    seconds: float = 0.0
    search_seconds: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True)
class Cache:
    """The folder of all cells: the result in SET/SETTING/METHOD.json, the labels in METHOD.npy beside it."""

    folder: Path

    def path(self, set_name: str, setting: str, method: str) -> Path:
        """Path of a cell's files, without their suffix."""
        return self.folder / set_name / setting / method

    def load(self, set_name: str, setting: str, method: str) -> Cell | None:
        """The cell; None if there is none yet, or only one of an earlier version of the arena."""
        file = self.path(set_name, setting, method).with_suffix(".json")
        if not file.exists():
            return None
        with suppress(TypeError):  # other fields
            return Cell(**read_json(file))
        return None

    def labels(self, cell: Cell) -> np.ndarray:
        """Int [n], the clusters of a cell that has a result."""
        return np.load(self.path(cell.set_name, cell.setting, cell.method).with_suffix(".npy"), allow_pickle=False)

    def save(self, cell: Cell, labels: np.ndarray | None) -> None:
        """Writes the labels first, so that a cell is whole if its JSON file is there."""
        path = self.path(cell.set_name, cell.setting, cell.method)
        path.parent.mkdir(parents=True, exist_ok=True)
        if labels is not None:
            np.save(path.with_suffix(".npy"), labels.astype(np.int32), allow_pickle=False)
        write_json(path.with_suffix(".json"), vars(cell))


def key_of(method: Method, faces: TestSet, setting: str, effort: Effort) -> str:
    """Everything a cell depends on: the method, the set, and what tuning or the oracle look at."""
    parts = [method.version, faces.key]
    if setting != "published":
        parts.append(effort.key)
        if faces.labelled is not None and (setting == "tuned" or method.kind.learns):
            parts.append(faces.labelled_key)
    return SEPARATOR.join(parts)


def run(method: Method, faces: TestSet, setting: str, effort: Effort, cache: Cache) -> tuple[Cell, bool]:
    """The cell, and whether it is new: a kept one with the same key is returned as it is."""
    cell = Cell(method.name, faces.name, setting, key_of(method, faces, setting, effort))
    kept = cache.load(faces.name, setting, method.name)
    if kept is not None and kept.key == cell.key and not kept.reason:
        return kept, False
    try:
        cell, labels = _result(cell, method, faces, effort, cache)
    except InputError as error:
        cell, labels = replace(cell, reason=str(error)), None
    cache.save(cell, labels)
    return cell, True


def _result(cell: Cell, method: Method, faces: TestSet, effort: Effort, cache: Cache) -> tuple[Cell, np.ndarray]:
    if method.name in COMPILED:
        compile_for(method.kind)
    started = time.process_time()
    clusterer, trials = chosen(method, faces, cell.setting, effort, cache.folder / "models")
    searched = time.process_time() - started
    labels, seconds, memory = measured(functools.partial(clustered, clusterer, faces))
    cell = replace(
        cell, figures=scores(faces.faces.labels, labels), settings=plain_settings(clusterer), trials=trials,
        seconds=round(seconds, 3), search_seconds=round(searched, 1), memory=round(memory, 1),
    )  # fmt: skip
    return cell, labels


def chosen(method: Method, faces: TestSet, setting: str, effort: Effort, models: Path) -> tuple[Clusterer, int]:
    """The clusterer of a setting, and how many trials it took.

    Raises:
        InputError: There is no such setting for this method and set.
    """
    if setting == "published":
        if method.published is None:
            raise InputError("learns from labelled faces; there is nothing published for other recognisers")
        return method.published(faces), 0
    if method.name in TWINS:
        raise InputError(f"tuned as {TWINS[method.name]}")
    if setting == "tuned":
        return tuned(method, faces, effort, models)
    base = tuned(method, faces, effort, models)[0] if method.kind.learns else method.kind.learn(*faces.faces)
    return best_on(base, faces, effort)


def clustered(clusterer: Clusterer, faces: TestSet) -> np.ndarray:
    """Int64 [n], the clusters of a set."""
    return clusterer.cluster(faces.graph.narrowed(clusterer.k)).labels


@functools.cache
def compile_for(kind: type[Clusterer]) -> None:
    """Clusters a few random faces, so that a library has compiled itself before any clock runs.

    Raises:
        InputError: The library is not installed.
    """
    faces = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    kind().cluster(KnnGraph.build(faces / np.linalg.norm(faces, axis=1, keepdims=True), 40))


def measured(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """What work returns, its CPU seconds, and the MiB that it took above those in use before (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, started = _status("VmRSS"), time.process_time()
    result = work()
    seconds = time.process_time() - started
    return result, seconds, max(_status("VmHWM") - before, 0.0)


def _status(name: str) -> float:
    """MiB of a line of this process's status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * KILOBYTE / MEBIBYTE for line in lines if line.startswith(name)), 0.0)


def describe(cell: Cell) -> str:
    """A line about a cell."""
    head = f"{cell.set_name:16} {cell.setting:10} {cell.method:17}"
    if cell.figures is None:
        return f"{head} left out: {cell.reason}"
    figures = " ".join(f"{cell.figures[name]:.3f}" for name in ("pairwise_f", "bcubed_f", "nmi"))
    return (
        f"{head} {figures} {cell.figures['clusters']:6,} clusters {cell.seconds:7.1f} s {cell.memory:6.0f} MiB "
        f"{cell.search_seconds:7.1f} s to choose  {json.dumps(cell.settings)}"
    )
