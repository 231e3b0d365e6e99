"""Settings that are chosen: on labelled faces of other people, as ``tune`` does it, or on the test set (the oracle)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arena.methods import PACKAGE, Method, digest
from arena.sets import NEIGHBORS, TestSet
from clustering.clusterer import Clusterer
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.proposals import best_of, strict
from clustering.learning.tuning import Version, labels_of, run_trials, tune, validation_versions
from facerec.pipeline.files import InputError, read_json, write_json

FEWEST = 5


@dataclass(frozen=True)
class Effort:
    """How long to search for settings.

    Attributes:
        trials: Most settings to try.
        seconds: CPU seconds to spend on them. Slower methods get fewer trials, but at least `FEWEST`.
        seed: Seed of the trials and of the versions.
    """

    trials: int = 20
    seconds: float = 120.0
    seed: int = 0

    @property
    def key(self) -> str:
        """A text that changes with these numbers and with the sources of the search."""
        sources = digest([PACKAGE / "learning", Path(__file__)])
        return f"{self.trials} trials {self.seconds:g} s seed {self.seed} {sources}"

    def affordable(self, trial_seconds: float) -> int:
        """The number of trials, if each takes so many CPU seconds."""
        return int(np.clip(self.seconds / max(trial_seconds, 1e-3), min(FEWEST, self.trials), self.trials))


def tuned(method: Method, faces: TestSet, effort: Effort, models: Path) -> tuple[Clusterer, int]:
    """The method with the settings that ``tune`` chooses on the labelled faces, and the number of trials.

    Both are kept in the folder `models`, because several sets may share the labelled faces.

    Raises:
        InputError: There are no labelled faces by this recogniser.
    """
    if faces.labelled is None:
        raise InputError("no labelled faces by this recogniser")
    key = f"{method.version} {faces.labelled_key} {effort.key}"
    file = models / f"{method.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if method.kind.learns:
        return _trained(method, faces.labelled, effort, file), effort.trials
    base = method.kind.learn(*faces.labelled, seed=effort.seed)
    note = file.with_suffix(".json")
    if not note.exists():
        rows = _search(base, _versions(faces.labelled, faces.labelled_key, effort.seed), effort)
        best = strict(rows)
        models.mkdir(parents=True, exist_ok=True)
        write_json(note, {"settings": {name: best[name] for name in base.search_space}, "trials": len(rows)})
    kept = read_json(note)
    return base.with_settings(**kept["settings"]), kept["trials"]


def best_on(base: Clusterer, faces: TestSet, effort: Effort) -> tuple[Clusterer, int]:
    """The oracle: the settings with the highest score on the test set itself, and the number of trials."""
    rows = _search(base, [Version("test", faces.graph, faces.faces.labels)], effort)
    best = best_of(rows)
    return base.with_settings(**{name: best[name] for name in base.search_space}), len(rows)


def _search(base: Clusterer, held: Sequence[Version], effort: Effort) -> list[Mapping[str, Any]]:
    """The rows of `run_trials` with as many trials as the effort allows."""
    if not base.search_space:
        return list(run_trials(base, held, 1, effort.seed))
    started = time.process_time()
    for version in held:
        labels_of(base, version.graph, {})
    return list(run_trials(base, held, effort.affordable(time.process_time() - started), effort.seed))


def _trained(method: Method, faces: LabelledFaces, effort: Effort, folder: Path) -> Clusterer:
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        tune(method.name, *faces, trials=effort.trials, seed=effort.seed).save_pretrained(partial)
        partial.rename(folder)
    return method.kind.from_pretrained(folder)


_HELD: dict[tuple[str, int], list[Version]] = {}


def _versions(faces: LabelledFaces, fingerprint: str, seed: int) -> list[Version]:
    """The versions of the labelled faces with their graphs; the last ones are kept."""
    key = (fingerprint, seed)
    if key not in _HELD:
        _HELD.clear()
        _HELD[key] = list(validation_versions(faces, NEIGHBORS, seed))
    return _HELD[key]
