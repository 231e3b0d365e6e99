"""The command ``folder``: labelled faces to the threshold to use, error rates of all pairs, and the worst pairs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval

from eval.all_pairs.columns import as_codes, read_columns, read_numbers, read_sessions
from eval.all_pairs.draws import digest
from eval.all_pairs.evaluation import SetEvaluation, evaluate_set
from eval.all_pairs.scores import GRID
from eval.all_pairs.units import make_units
from eval.all_pairs.worst import worst_matches, worst_misses
from eval.bootstrap.resampling import check_samples
from eval.protocols.doubts import say_all_equal, say_chance, say_copies
from eval.protocols.face_templates import noted_lengths
from eval.report.figures import FMRS, FPIRS
from eval.report.set_figures import set_figures, set_intervals
from eval.report.set_page import SetReport, threshold_in_words, write_report
from eval.report.set_parts import calibration_entry, discard_entry, group_entries
from facerec.pipeline.arguments import Seed
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage
from facerec.pipeline.thumbnails import thumbnails_of

logger = logging.getLogger(__name__)

QUALITIES = ("quality", "score", "norm")


@stage("eval folder")
def folder(
    embeddings: Path,
    out: Path,
    labels: Path | None = None,
    fmr: OpenUnitInterval = 1e-4,
    sessions: Path | None = None,
    quality: Path | None = None,
    attributes: Path | None = None,
    thumbnails: Path | None = None,
    bootstrap: NonNegativeInt = 200,
    seed: Seed = 0,
    worst: NonNegativeInt = 48,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Evaluates a recogniser on your own labelled faces: the threshold to use, error rates of all pairs, worst pairs.

    It compares every face with every other. It also draws two galleries and searches the other faces in them. Open
    OUT/report.html in a browser.

    Args:
        embeddings: Embedding folder, as `facerec embed` makes it from a folder of folders of a person each; or a file
            of embeddings, see clustering knn.
        out: Folder for report.html, metrics.json, pairs.csv (the worst pairs), det.csv, iet.csv, cmc.csv, scores.csv,
            calibration.csv, the plots; with quality discard.csv, with attributes groups.csv.
        labels: The person of each face (-1 = unknown): .npy, or a number or name a line, or FILE.csv:COLUMN. Without
            it the labels of the embeddings.
        fmr: The false match rate that you want. The threshold to use has at most this rate on these faces.
        sessions: The session of each face: a .npy file of integers, or a CSV file with columns key and session. Then
            the faces of a person in one session are pooled to a template, and templates are compared.
        quality: The quality of each face, more is better: a .npy file, or a CSV file with columns key and quality, or
            faces.csv of `facerec align` (the detector's scores). norms.npy beside the embeddings is used anyway.
        attributes: A CSV file with a column key (a face) or identity (a person), and a column for each attribute, as
            sex or age class. The report then has the error rates of each group at the threshold.
        thumbnails: Folder made by `facerec thumbnails` from the same faces. With it the report shows the worst pairs.
        bootstrap: How many times subjects are drawn for 95 % intervals; 0 for no intervals.
        seed: Seed with which galleries, probes and subjects are drawn.
        worst: How many false matches and how many false non-matches to list.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    check_samples(bootstrap)
    faces = load_embeddings(embeddings, unreadable=unreadable)
    people = _labels(faces, labels)
    session = read_sessions(sessions, faces, people) if sessions else None
    qualities = _qualities(faces, people, quality)
    columns = read_columns(attributes, faces, people) if attributes else {}
    pictures = thumbnails_of(thumbnails, faces) if thumbnails else None

    units = make_units(faces.embeddings, people, session, labels or embeddings)
    evaluation = evaluate_set(units, float(fmr), ([float(f) for f in FMRS], [float(f) for f in FPIRS]), bootstrap, seed)
    report = SetReport(evaluation, set_figures(evaluation, _counts(faces, people, units.unit_of)), faces.keys, pictures)
    report.metrics["comparisons"] = digest(units, evaluation.draw, faces.keys)
    if bootstrap:
        _add_intervals(report, seed, out)
    _add_parts(report, qualities, columns)
    report.metrics["calibration"], report.ratios = calibration_entry(evaluation, seed)
    report.worst += worst_matches(evaluation.pairs, units, evaluation.point.threshold, worst)
    report.worst += worst_misses(evaluation.pairs, units, evaluation.point.threshold, worst)
    write_report(report, out)
    _say(report, embeddings)
    return {name: report.metrics[name] for name in ("threshold", "fnmr_at_fmr", "fnir_at_fpir")}


def _add_parts(report: SetReport, qualities: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    """Adds the figures by quality and by group."""
    evaluation = report.evaluation
    for name, values in qualities.items():
        entry, report.discard[name] = discard_entry(evaluation, values)
        report.metrics.setdefault("discard", {})[name] = entry
    for name, cells in columns.items():
        report.metrics.setdefault("groups", {})[name] = group_entries(evaluation, *as_codes(cells), name)


def _say(report: SetReport, embeddings: Path) -> None:
    """What was found, and what to do next."""
    scores = report.evaluation.pairs
    counts = scores.genuine_counts + scores.impostor_counts
    found = np.flatnonzero(counts) / GRID - 1
    say_all_equal(found[0], found[-1], int(counts.sum()), embeddings)
    say_chance(report.metrics["auc"], embeddings)
    if len(found) > 1:
        say_copies(int(scores.genuine_counts[-1]), embeddings)
    if failed := report.metrics["counts"]["unreadable_faces"]:
        logger.info("%d labelled faces are unreadable: all their genuine pairs count as false non-matches", failed)
    logger.info("%s", threshold_in_words(report.metrics))
    suspects = sum(pair.may_be_mislabelled for pair in report.worst)
    if suspects:
        several = f"{suspects} of the worst {len(report.worst)} pairs look like errors of labels"
        logger.warning(
            "%s; look at what report.html shows, correct the labels and evaluate again",
            several if len(report.worst) > 1 else "the worst pair looks like an error of labels",
        )
    else:
        logger.info("open report.html for the curves and the worst pairs")


def _labels(faces: EmbeddingSet, labels: Path | None) -> np.ndarray:
    """The label of each face, int64 [n]."""
    found = faces.labels_in(labels)
    if found is None:
        raise InputError(f"{faces.path}: no labels.npy; give --labels, or embed a folder with a folder a person")
    return found


def _qualities(faces: EmbeddingSet, people: np.ndarray, quality: Path | None) -> dict[str, np.ndarray]:
    """The name of each measure of quality, and a number for each face."""
    found: dict[str, np.ndarray] = {}
    if quality is not None:
        found["quality"] = read_numbers(quality, faces, people, QUALITIES)
    lengths = noted_lengths(faces.path, len(faces))
    return found if lengths is None else {**found, "norm": lengths}


def _counts(faces: EmbeddingSet, people: np.ndarray, unit_of: np.ndarray) -> dict[str, int]:
    used = unit_of >= 0
    return {
        "faces": int(np.count_nonzero(used)),
        "unlabelled_faces": int(np.count_nonzero(people < 0)),
        "faces_without_session": int(np.count_nonzero((people >= 0) & ~used)),
        "unreadable_faces": int(np.count_nonzero(used & ~faces.readable)),
    }


def _add_intervals(report: SetReport, seed: int, out: Path) -> None:
    """Adds the intervals to the report, and writes bootstrap.npy."""
    evaluation: SetEvaluation = report.evaluation
    found, of_threshold = set_intervals(evaluation, *evaluation.resampled())
    report.intervals = found
    report.metrics["threshold"] |= of_threshold
    report.metrics["intervals"] = found.entries(report.metrics, seed)
    np.save(out / "bootstrap.npy", found.samples, allow_pickle=False)
