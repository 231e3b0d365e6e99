"""The files that the stages leave in a run's folder, read and checked."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.comparison.checks import is_meta, is_number, is_report, is_share, lacks_search
from eval.report.histogram import COLUMNS as BIN_COLUMNS
from eval.report.worst_pairs import COLUMNS as WORST_COLUMNS
from facerec.pipeline.files import InputError, cell_text, first_line, load_array, read_json

SHARES = ("pairwise_f", "bcubed_f", "nmi", "purity")
COUNTS = ("clusters", "identities", "assigned")


def read_metrics(report: Path) -> dict[str, Any]:
    """``metrics.json`` of a report of ``eval ijb``."""
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


def read_scores(path: Path) -> dict[str, float] | None:
    """What ``eval clusters`` wrote into a file; None without the file."""
    if not path.exists():
        return None
    scores = read_json(path)
    are_scores = isinstance(scores, dict) and all(is_share(scores.get(name)) for name in SHARES)
    if not are_scores or not all(is_number(scores.get(name)) for name in COUNTS):
        raise InputError(f"{path}: not written by `python -m eval clusters`")
    return scores


def sizes_of(path: Path, scores: Mapping[str, Any]) -> list[list[int]]:
    """The rows of ``sizes`` among the scores that a file has; empty if there are none."""
    rows = scores.get("sizes", [])
    are_rows = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not are_rows or any([type(number) for number in row] != [int] * 4 for row in rows):
        raise InputError(f"{path}: 'sizes' is not as `python -m eval clusters` writes it; score the clusters again")
    return rows


def read_metas(folders: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """``meta.json`` of each stage that has one, by the stage's name."""
    metas = {name: read_json(path / "meta.json") for name, path in folders.items() if (path / "meta.json").exists()}
    for name, meta in metas.items():
        if not is_meta(meta):
            raise InputError(f"{folders[name] / 'meta.json'}: not what a finished command writes; run it again")
    return metas


def read_samples(reports: Sequence[Path], trainings: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
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


def read_bands(report: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The intervals of both curves by their names in `Run`; nothing without intervals."""
    if "intervals" not in metrics:
        return {}
    return {
        "det_band": read_curve(report / "det.csv", ["fmr", "fnmr_low", "fnmr_high"]),
        "iet_band": read_curve(report / "iet.csv", ["fpir", "fnir_mean_low", "fnir_mean_high"]),
    }


def read_bins(path: Path) -> list[tuple[float, float, int, int]]:
    """The rows of scores.csv, if there is one."""
    rows = read_curve(path, BIN_COLUMNS) if path.is_file() else []
    if not all(-2 < low < high < 2 and all(0 <= count < math.inf for count in counts) for low, high, *counts in rows):
        raise InputError(f"{path}: not what `python -m eval ijb` writes; evaluate again")
    return [(low, high, int(genuine), int(impostor)) for low, high, genuine, impostor in rows]


def read_search_thresholds(path: Path, galleries: Sequence[str]) -> dict[float, tuple[float, ...]]:
    """FPIR to the threshold of each gallery, from iet.csv; nothing if it has none."""
    names = [f"threshold_{name}" for name in galleries]
    if not set(names) <= set(next(csv.reader([first_line(path)]), [])):
        return {}
    return {fpir: tuple(those) for fpir, *those in read_curve(path, ["fpir", *names])}


def read_worst(path: Path) -> list[dict[str, str]]:
    """The rows of worst.csv by their columns; empty without the file."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = [{name: cell_text(row[name] or "") for name in WORST_COLUMNS} for row in csv.DictReader(file)]
        return [row for row in rows if math.isfinite(float(row["score"]))]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not written by `python -m eval ijb` ({error!r}); evaluate again") from None


def read_curve(path: Path, columns: Sequence[str]) -> list[Any]:
    """The points that have all the columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = [[line[name] for name in columns] for line in csv.DictReader(file)]
        return [tuple(map(float, line)) for line in lines if "" not in line]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a curve with columns {' and '.join(columns)} ({error!r})") from None
