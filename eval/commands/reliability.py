"""The command ``reliability``: whether the confidence of a clustering is what it says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.clusters.calibration import calibration_error, in_majority, lowest_tenth, reliability, rows_in_company
from eval.report.plots import plot_reliability
from facerec.pipeline.files import InputError, load_array, write_json, write_table
from facerec.pipeline.label_files import load_labels, refuse_other_order
from facerec.pipeline.stage import stage

logger = logging.getLogger(__name__)
HEADER = ("lowest", "highest", "faces", "confidence", "right")


@stage(
    "eval reliability",
    found=(
        "mean confidence {confidence:.3f}, share of right faces {right:.3f}; "
        "expected calibration error {expected_calibration_error:.3f}; "
        "of the least sure tenth {lowest_tenth[confidence]:.3f} is claimed, "
        "{lowest_tenth[right]:.3f} right"
    ).format_map,
    then="look at {out}/reliability.png",
)
def reliability_report(truth: Path, clusters: Path, out: Path, bins: int = 15) -> Mapping[str, Any]:
    """Compares the confidence of clustered faces with how often they have their cluster's majority identity.

    Faces that are alone in their cluster among those of known identity are right by definition and are left out.

    Args:
        truth: Identities, as in clusters; -1 leaves a face out.
        clusters: Folder made by cluster: labels.npy and confidence.npy.
        out: Folder to make: reliability.csv, reliability.png, metrics.json.
        bins: Bins of the diagram, of equally many faces each.
    """
    if bins < 1:
        raise InputError(f"bins is {bins}; it must be at least 1")
    identities, labels, confidence = _load(truth, clusters)
    rows = rows_in_company(identities, labels)
    if not len(rows):
        raise InputError(f"{clusters}: no cluster of two faces of known identity; nothing to compare")
    if np.all(confidence[rows] == 1):
        logger.warning("%s: no confidence of its own, all values are 1; hilander and lander have one", clusters)
    right = in_majority(identities, labels)[rows]
    table = reliability(confidence[rows], right, bins)
    write_table(out / "reliability.csv", HEADER, [[round(float(x), 6) for x in row] for row in table])
    plot_reliability(table, out / "reliability.png")
    figures = {
        "expected_calibration_error": calibration_error(table), "bins": len(table), "faces": len(rows),
        "confidence": float(confidence[rows].mean()), "right": float(right.mean()),
        "lowest_tenth": lowest_tenth(confidence[rows], right),
    }  # fmt: skip
    write_json(out / "metrics.json", figures)
    return figures


def _load(truth: Path, clusters: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identities, clusters and confidence of the same faces.

    Raises:
        InputError: Missing files, other lengths, values beyond [0, 1].
    """
    if not clusters.is_dir():
        raise InputError(f"{clusters}: no such folder; give one with labels.npy and confidence.npy")
    identities, labels = load_labels(truth), load_labels(clusters)
    file = clusters / "confidence.npy"
    confidence = load_array(file, kind="f", ndim=1)
    if not len(identities) == len(labels) == len(confidence):
        raise InputError(
            f"{clusters}: {len(labels)} labels and {len(confidence)} values of confidence for the {len(identities)} "
            f"identities of {truth}; all must be of the same faces"
        )
    refuse_other_order(truth, clusters)
    if not np.all((confidence >= 0) & (confidence <= 1)):
        raise InputError(f"{file}: values beyond [0, 1] or NaN; they must be probabilities")
    return identities, labels, np.asarray(confidence, dtype=np.float64)
