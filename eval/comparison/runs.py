"""What is known of a run, and whether runs are of the same test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.comparison.checks import SAME_TEST
from eval.comparison.run_files import (
    read_bands,
    read_bins,
    read_curve,
    read_metas,
    read_metrics,
    read_samples,
    read_scores,
    read_search_thresholds,
    read_worst,
    sizes_of,
)
from eval.comparison.several import figure_of, further_trainings, mean_metrics
from facerec.pipeline.files import InputError

logger = logging.getLogger(__name__)
HOW = ("norm", "detector_scores", "flip")
"""What of the making of templates may differ between reports, see `eval.protocols.face_templates.template_options`."""
BOUNDS = ("labelled", "supervised")
STAGES = ("tuned", "clusters", "pseudo", "model", "test", "ijb")


@dataclass(frozen=True)
class Run:
    """One row of a comparison.

    Attributes:
        name: The folder's name.
        metrics: ``metrics.json`` of ``eval ijb``; of several trainings the mean rates and their intervals, and the
            counts of the first.
        det: Points (FMR, FNMR); these, the plots and the pictures are of the first training.
        iet: Points (FPIR, mean FNIR).
        clusters: ``eval clusters`` of the clustering, or None.
        pseudo: The same of the pseudo-labels kept, or None.
        metas: Name of a stage's folder to its ``meta.json``.
        sheet: Picture of sample clusters, or None.
        samples: Figure to its bootstrap samples, float64 [trainings, samples]; empty if there are none.
        det_band: Points (FMR, lowest FNMR, highest), where there are intervals.
        iet_band: Points (FPIR, lowest mean FNIR, highest).
        thresholds: FMR to the threshold at it, for the points of ``det``.
        search_thresholds: FPIR to the threshold of each gallery, for the points of ``iet``, where they are known.
        scores: Rows of scores.csv (lowest score, highest, genuine pairs, impostor pairs); empty if there is none.
        sizes: Rows of size from, to, identities, clusters; empty if clusters.json has none.
        review: The review page of its clusters, or None.
        worst: Rows of worst.csv by their columns; empty if there is none.
        trainings: ``metrics.json`` of each training; empty if there is one.
    """

    name: str
    metrics: dict[str, Any]
    det: list[tuple[float, float]]
    iet: list[tuple[float, float]]
    clusters: dict[str, float] | None
    pseudo: dict[str, float] | None
    metas: dict[str, dict[str, Any]]
    sheet: Path | None
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    det_band: list[tuple[float, ...]] = field(default_factory=list)
    iet_band: list[tuple[float, ...]] = field(default_factory=list)
    thresholds: dict[float, float] = field(default_factory=dict)
    search_thresholds: dict[float, tuple[float, ...]] = field(default_factory=dict)
    scores: list[Any] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)
    review: Path | None = None
    worst: list[dict[str, str]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of trainings."""
        return max(1, len(self.trainings))

    @property
    def each(self) -> list[dict[str, Any]]:
        """``metrics.json`` of each training, also of the only one."""
        return self.trainings or [self.metrics]

    def values(self, figure: str) -> np.ndarray:
        """A figure of each training, float64 [trainings]."""
        return np.array([figure_of(metrics, figure) for metrics in self.each])

    @property
    def is_backend(self) -> bool:
        """Whether it is neither of the bounds."""
        return self.name not in BOUNDS


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """Reads rows or bare ``eval ijb`` reports; ``labelled`` goes first and ``supervised`` last.

    Raises:
        InputError: No run, two of one name, one without report, or reports on different tests.
    """
    if not folders:
        raise InputError("--runs: an empty list; give at least one folder, as in --runs '[rows/a,rows/b]'")
    runs = [load_run(folder) for folder in folders]
    for index, run in enumerate(runs):
        if run.name in [other.name for other in runs[:index]]:
            raise InputError(f"{folders[index]}: a second run of the name {run.name!r}; rename its folder")
        for count in SAME_TEST:
            ours, first = run.metrics["counts"][count], runs[0].metrics["counts"][count]
            if ours != first:
                raise InputError(
                    f"{folders[index]}: {ours} {count.replace('_', ' ')} in its test, {first} in that of {folders[0]}; "
                    "compare runs on the same protocol"
                )
        if _other_comparisons(runs[0].metrics, run.metrics):
            raise InputError(
                f"{folders[index]}: other templates were compared than in {folders[0]}: another protocol, or --missing "
                "exclude left out others; of eval folder, labels in another order or another --seed; compare runs on "
                "the same comparisons"
            )
    _say_other_templates(runs)
    return sorted(runs, key=lambda run: (run.name == "supervised") - (run.name == "labelled"))


def _say_other_templates(runs: Sequence[Run]) -> None:
    """Warns of a run whose templates were made otherwise than those of the first, which alone changes figures."""
    first = _how(runs[0])
    for run in runs[1:]:
        way = _how(run)
        differ = [name for name in HOW if None not in (way.get(name), first.get(name)) and way[name] != first[name]]
        if differ:
            said = ", ".join(f"{name} {way[name]} and {first[name]}" for name in differ)
            logger.warning("%s and %s: templates were made in two ways: %s", run.name, runs[0].name, said)
            return


def _how(run: Run) -> Mapping[str, Any]:
    """How the templates of a run were made, as far as it says."""
    found = run.metrics.get("template")
    return found if isinstance(found, dict) else {}


def load_run(folder: Path) -> Run:
    """Reads one row's folder with all its trainings, or a bare ``eval ijb`` report."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    report = folder / "ijb" if (folder / "ijb").is_dir() else folder
    bare = report == folder
    reports = [report, *(() if bare else (each / "ijb" for each in further_trainings(folder)))]
    trainings = [read_metrics(each) for each in reports]
    for each, metrics in zip(reports, trainings, strict=True):
        if (lost := _other_test(trainings[0], metrics)) is not None:
            raise InputError(f"{each}: other {lost} than in {report}; evaluate all trainings of a row alike")
    counts = trainings[0]["counts"]
    sheet, review = folder / "sheet.png", folder / "review" / "review.html"
    det = read_curve(report / "det.csv", ["fmr", "fnmr", "threshold"])
    clusters, samples = read_scores(folder / "clusters.json"), read_samples(reports, trainings)
    return Run(
        name=folder.absolute().name,
        metrics=mean_metrics(trainings, samples),
        det=[point[:2] for point in det],
        iet=read_curve(report / "iet.csv", ["fpir", "fnir_mean"]),
        clusters=clusters,
        pseudo=read_scores(folder / "pseudo.json"),
        metas=read_metas({"ijb": report} if bare else {name: folder / name for name in STAGES}),
        sheet=sheet if sheet.is_file() else None,
        samples=samples,
        thresholds={fmr: threshold for fmr, _, threshold in det},
        search_thresholds=read_search_thresholds(report / "iet.csv", list(counts["identification"])),
        scores=read_bins(report / "scores.csv"),
        sizes=sizes_of(folder / "clusters.json", clusters or {}),
        review=review if review.is_file() else None,
        worst=read_worst(report / "worst.csv"),
        trainings=trainings if len(trainings) > 1 else [],
        **read_bands(report, trainings[0]),
    )


def _other_test(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """What differs in the tests of two trainings, if anything does."""
    if any(first["counts"][count] != other["counts"][count] for count in SAME_TEST):
        return "test faces"
    if _other_comparisons(first, other):
        return "comparisons"
    how = [
        {name: of.get("intervals", {}).get(name) for name in ("samples", "seed", "figures")} for of in (first, other)
    ]
    return None if how[0] == how[1] else "bootstrap samples"


def _other_comparisons(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two reports are of different comparisons, as far as both say of which."""
    both = first.get("comparisons"), other.get("comparisons")
    return None not in both and both[0] != both[1]
