"""What is known of a run: the files that the stages left in its folder."""

from __future__ import annotations

import csv
import logging
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.report.checks import SAME_TEST, is_meta, is_number, is_report, lacks_search
from eval.report.histogram import COLUMNS as BIN_COLUMNS
from eval.report.several import figure_of, further_trainings, mean_metrics
from eval.report.worst_pairs import COLUMNS as WORST_COLUMNS
from facerec.pipeline.files import InputError, cell_text, load_array, read_json

logger = logging.getLogger(__name__)
HOW = ("norm", "detector_scores", "flip")
"""What of the making of templates may differ between reports, see `eval.protocols.face_templates.template_options`."""
BOUNDS = ("labelled", "supervised")
STAGES = ("tuned", "clusters", "pseudo", "model", "test", "ijb")
SCORES = {"pairwise_f", "bcubed_f", "nmi", "purity", "clusters", "identities", "assigned"}


@dataclass(frozen=True)
class Run:
    """One row of a comparison.

    Attributes:
        name: The folder's name.
        metrics: ``metrics.json`` of ``eval ijb``; of several trainings the mean rates, and the counts of the first.
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

    def values(self, figure: str) -> np.ndarray:
        """A figure of each training, float64 [trainings]."""
        return np.array([figure_of(metrics, figure) for metrics in self.trainings or [self.metrics]])

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
                "exclude left out others; compare runs on the same comparisons"
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
    trainings = [_read_metrics(each) for each in reports]
    for each, metrics in zip(reports, trainings, strict=True):
        if (lost := _other_test(trainings[0], metrics)) is not None:
            raise InputError(f"{each}: other {lost} than in {report}; evaluate all trainings of a row alike")
    counts = trainings[0]["counts"]
    sheet, review = folder / "sheet.png", folder / "review" / "review.html"
    det = _read_curve(report / "det.csv", ["fmr", "fnmr", "threshold"])
    clusters = _read_scores(folder / "clusters.json")
    return Run(
        name=folder.absolute().name,
        metrics=mean_metrics(trainings),
        det=[point[:2] for point in det],
        iet=_read_curve(report / "iet.csv", ["fpir", "fnir_mean"]),
        clusters=clusters,
        pseudo=_read_scores(folder / "pseudo.json"),
        metas=_read_metas({"ijb": report} if bare else {name: folder / name for name in STAGES}),
        sheet=sheet if sheet.is_file() else None,
        samples=_read_samples(reports, trainings),
        thresholds={fmr: threshold for fmr, _, threshold in det},
        search_thresholds=_read_search_thresholds(report / "iet.csv", list(counts["identification"])),
        scores=_read_bins(report / "scores.csv"),
        sizes=_sizes(folder / "clusters.json", clusters or {}),
        review=review if review.is_file() else None,
        worst=_read_worst(report / "worst.csv"),
        trainings=trainings if len(trainings) > 1 else [],
        **_read_bands(report, trainings[0]),
    )


def _read_metrics(report: Path) -> dict[str, Any]:
    if not (report / "metrics.json").is_file():
        folder = report.parent if report.name == "ijb" else report
        raise InputError(f"{folder}: no ijb/metrics.json and no metrics.json; run `python -m eval ijb` for it first")
    metrics = read_json(report / "metrics.json")
    counts = metrics.get("counts") if isinstance(metrics, dict) else None
    if isinstance(counts, dict) and lacks_search(metrics):
        raise InputError(
            f"{report / 'metrics.json'}: no FNIR, as of 1:1 alone or a closed set; runs are compared by 1:1 and 1:N"
        )
    if not isinstance(counts, dict) or not is_report(metrics, counts):
        raise InputError(f"{report / 'metrics.json'}: not a report of `python -m eval ijb`")
    return dict(metrics)


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


def command_line(meta: Mapping[str, Any], folder: str) -> str:
    """The command that a ``meta.json`` records."""
    options = {name: _input(value) for name, value in meta.get("inputs", {}).items()}
    options |= {name: value for name, value in meta.get("config", {}).items() if value is not None}
    words = ["python", "-m", *str(meta.get("command", "?")).split()]
    for name, value in [*options.items(), ("out", folder)]:
        words += [f"--{name}", _option(value)]
    return shlex.join(words)


def _input(recorded: Any) -> Any:
    return [item["path"] for item in recorded] if isinstance(recorded, list) else recorded["path"]


def _option(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(_option, value))}]" if isinstance(value, list) else str(value)


def _read_scores(path: Path) -> dict[str, float] | None:
    if not path.exists():
        return None
    scores = read_json(path)
    if not isinstance(scores, dict) or not all(is_number(scores.get(name)) for name in SCORES):
        raise InputError(f"{path}: not written by `python -m eval clusters`")
    return scores


def _sizes(path: Path, scores: Mapping[str, Any]) -> list[list[int]]:
    rows = scores.get("sizes", [])
    are_rows = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not are_rows or any([type(number) for number in row] != [int] * 4 for row in rows):
        raise InputError(f"{path}: 'sizes' is not as `python -m eval clusters` writes it; score the clusters again")
    return rows


def _read_metas(folders: dict[str, Path]) -> dict[str, dict[str, Any]]:
    metas = {name: read_json(path / "meta.json") for name, path in folders.items() if (path / "meta.json").exists()}
    for name, meta in metas.items():
        if not is_meta(meta):
            raise InputError(f"{folders[name] / 'meta.json'}: not what a finished command writes; run it again")
    return metas


def _read_samples(reports: Sequence[Path], trainings: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The samples of every figure, of all trainings; nothing without intervals."""
    if "intervals" not in trainings[0]:
        return {}
    names, blocks = trainings[0]["intervals"].get("figures", []), []
    for report in reports:
        samples = load_array(report / "bootstrap.npy", kind="f", ndim=2)
        if samples.shape != (trainings[0]["intervals"].get("samples"), len(names)):
            raise InputError(
                f"{report / 'bootstrap.npy'}: shape {list(samples.shape)}; metrics.json says {len(names)} figures; "
                "evaluate again"
            )
        blocks.append(np.array(samples).T)
    return dict(zip(names, np.stack(blocks, axis=1), strict=True))


def _read_bands(report: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    if "intervals" not in metrics:
        return {}
    return {
        "det_band": _read_curve(report / "det.csv", ["fmr", "fnmr_low", "fnmr_high"]),
        "iet_band": _read_curve(report / "iet.csv", ["fpir", "fnir_mean_low", "fnir_mean_high"]),
    }


def _read_bins(path: Path) -> list[tuple[float, float, int, int]]:
    """The rows of scores.csv, if there is one."""
    rows = _read_curve(path, BIN_COLUMNS) if path.is_file() else []
    if not all(-2 < low < high < 2 and all(0 <= count < math.inf for count in counts) for low, high, *counts in rows):
        raise InputError(f"{path}: not what `python -m eval ijb` writes; evaluate again")
    return [(low, high, int(genuine), int(impostor)) for low, high, genuine, impostor in rows]


def _read_search_thresholds(path: Path, galleries: Sequence[str]) -> dict[float, tuple[float, ...]]:
    names = [f"threshold_{name}" for name in galleries]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            known = set(names) <= set(next(csv.reader(file), []))
    except (OSError, ValueError, csv.Error):  # which `_read_curve` has refused
        return {}
    return {fpir: tuple(those) for fpir, *those in _read_curve(path, ["fpir", *names])} if known else {}


def _read_worst(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = [{name: cell_text(row[name] or "") for name in WORST_COLUMNS} for row in csv.DictReader(file)]
        return [row for row in rows if math.isfinite(float(row["score"]))]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not written by `python -m eval ijb` ({error!r}); evaluate again") from None


def _read_curve(path: Path, columns: Sequence[str]) -> list[Any]:
    """The points that have all the columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = [[line[name] for name in columns] for line in csv.DictReader(file)]
        return [tuple(map(float, line)) for line in lines if "" not in line]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a curve with columns {' and '.join(columns)} ({error!r})") from None
