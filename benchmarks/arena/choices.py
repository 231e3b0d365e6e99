"""Settings that are chosen: on labelled faces of other people, as ``tune`` does it, or on the test set (the oracle)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.methods import PACKAGE, Method, digest
from arena.sets import NEIGHBORS, TestSet
from clustering.clusterer import Clusterer
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.proposals import best_of, strict
from clustering.learning.tuning import Version, run_trials, tune, validation_versions
from facerec.pipeline.files import InputError, read_json, write_json


@dataclass(frozen=True)
class Effort:
    """How settings are searched for.

    Attributes:
        trials: Settings to try.
        seed: Seed of the trials and of the versions.
    """

    trials: int = 20
    seed: int = 0

    @property
    def key(self) -> str:
        """A text that changes with these numbers and with the sources of the search."""
        sources = digest([PACKAGE / "learning", Path(__file__)])
        return f"{self.trials} trials seed {self.seed} {sources}"


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
    """The rows of `run_trials`."""
    return list(run_trials(base, held, effort.trials if base.search_space else 1, effort.seed))


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
