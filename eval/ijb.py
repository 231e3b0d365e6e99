"""``eval ijb``: embeddings and an IJB-C protocol to FNMR@FMR, FNIR@FPIR, ranks and curves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.identification import Search, cmc_curve, fnir_at_fpir, iet_curve, search
from eval.protocol import Pairs, Protocol, Subjects, load_protocol, match_faces, pair_positions, positions
from eval.templates import Templates, pool, pool_subjects
from eval.verification import OperatingPoint, det_curve, operating_point, pair_scores
from facerec.artifacts import InputError, load_embeddings, write_json, write_table
from facerec.stages import stage

logger = logging.getLogger(__name__)

FMRS = ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
FPIRS = ("1e-1", "1e-2")


@stage("eval ijb")
def ijb(protocol: Path, embeddings: Path, out: Path) -> Mapping[str, Any]:
    """Evaluates embeddings on an IJB-C protocol: 1:1 FNMR@FMR, 1:N FNIR@FPIR, curves.

    Args:
        protocol: Folder of protocol files: *_face_tid_mid.txt, *_template_pair_label.txt, *_1N_gallery_G1.csv,
            *_1N_gallery_G2.csv, *_1N_probe_mixed.csv.
        embeddings: Embedding folder, or a .npy file; faces match by keys.txt, or without it line by line.
        out: Folder for metrics.json, det.csv, iet.csv, cmc.csv and the plots.
    """
    from eval.plots import plot_det, plot_iet

    files = load_protocol(protocol)
    embedded = load_embeddings(embeddings)
    rows = match_faces(files.faces, embedded.keys, len(embedded), embeddings)
    templates = pool(embedded.embeddings, rows, files.faces.template, files.faces.media)
    if templates.empty == len(templates.ids):
        raise InputError(f"{embeddings}: every embedding of the protocol's faces is zero; nothing to compare")
    genuine, impostor = verify(files.pairs, templates)
    searches = {name: identify(gallery, files.probes, templates) for name, gallery in files.galleries.items()}
    metrics = summarise(genuine, impostor, searches, _corpus_counts(files, templates))

    write_json(out / "metrics.json", metrics)
    det, iet = det_curve(genuine, impostor), iet_curve(searches)
    write_table(out / "det.csv", ["fmr", "fnmr", "threshold"], det)
    write_table(out / "iet.csv", ["fpir", *(f"fnir_{name}" for name in searches), "fnir_mean"], iet)
    write_table(out / "cmc.csv", ["rank", *searches, "mean"], cmc_curve(searches))
    plot_det({"": [point[:2] for point in det]}, out / "det.png")
    plot_iet({"": [(point[0], point[-1]) for point in iet]}, out / "iet.png")
    return {key: metrics[key] for key in ("fnmr_at_fmr", "fnir_at_fpir", "rank1")}


def verify(pairs: Pairs, templates: Templates) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the genuine and of the impostor pairs, float32, each in rising order."""
    scores = pair_scores(templates.features, *pair_positions(pairs, templates.ids))
    return np.sort(scores[pairs.genuine]), np.sort(scores[~pairs.genuine])


def identify(gallery: Subjects, probes: Subjects, templates: Templates) -> Search:
    """Searches the probes in a gallery, with one feature a subject (several templates of one are pooled).

    Raises:
        InputError: No mated or no non-mated probe.
    """
    ids, features = pool_subjects(templates.features[positions(templates.ids, gallery.template)], gallery.subject)
    found = search(templates.features[positions(templates.ids, probes.template)], probes.subject, features, ids)
    for scores, kind in [(found.mate_scores, "mated"), (found.highest, "non-mated")]:
        if not len(scores):
            raise InputError(
                f"{gallery.path}: no {kind} probe in {probes.path.name}; an open-set search needs both kinds"
            )
    return found


def summarise(
    genuine: np.ndarray, impostor: np.ndarray, searches: dict[str, Search], corpus: dict[str, int]
) -> dict[str, Any]:
    """The content of ``metrics.json``: figures as fractions, and the counts behind each."""
    verification = {f: operating_point(genuine, impostor, float(f)) for f in FMRS}
    identification = {name: {f: fnir_at_fpir(found, float(f)) for f in FPIRS} for name, found in searches.items()}
    per_gallery = {
        name: {f: point.rejected / len(searches[name].ranks) for f, point in points.items()}
        for name, points in identification.items()
    }
    return {
        "fnmr_at_fmr": {f: point.rejected / len(genuine) for f, point in verification.items()},
        "fnir_at_fpir": {f: float(np.mean([fnirs[f] for fnirs in per_gallery.values()])) for f in FPIRS},
        "fnir_at_fpir_per_gallery": per_gallery,
        "rank1": float(np.mean([found.rank1 for found in searches.values()])),
        "counts": {
            **corpus,
            "genuine_pairs": len(genuine),
            "impostor_pairs": len(impostor),
            "verification": {f: _verification_counts(point) for f, point in verification.items()},
            "identification": {name: _search_counts(searches[name], identification[name]) for name in searches},
        },
    }


def _corpus_counts(files: Protocol, templates: Templates) -> dict[str, int]:
    return {
        "faces": len(files.faces.template),
        "unreadable_faces": templates.unreadable_faces,
        "media": templates.media,
        "templates": len(templates.ids),
        "empty_templates": templates.empty,
        "probes": len(files.probes.template),
    }


def _verification_counts(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        "false_matches": point.accepted,
        "false_non_matches": point.rejected,
        "supported": point.supported,
    }


def _search_counts(found: Search, points: dict[str, OperatingPoint]) -> dict[str, Any]:
    return {
        "subjects": found.subjects,
        "mated_probes": len(found.ranks),
        "nonmated_probes": len(found.highest),
        "rank1_hits": int(np.count_nonzero(found.ranks == 1)),
        **{
            f: {
                "threshold": point.threshold,
                "false_positives": point.accepted,
                "misses": point.rejected,
                "supported": point.supported,
            }
            for f, point in points.items()
        },
    }
