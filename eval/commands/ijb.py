"""``eval ijb``: embeddings and an IJB-B or IJB-C protocol to FNMR@FMR, FNIR@FPIR, ranks, intervals and curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eval.figures import (
    Intervals,
    Scores,
    identify,
    resample,
    summarise,
)
from eval.metrics.compatibility import flattened_recall, nearest_tar, script_flags
from eval.metrics.identification import Search, cmc_curve, iet_curve
from eval.metrics.templates import Templates, load_lengths, load_scores, pool
from eval.metrics.verification import det_curve, pair_scores
from eval.protocols.open import load_protocol
from eval.protocols.protocol import Protocol, match_faces, pair_positions, positions, subjects_of
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, load_keys, read_json, write_json, write_table
from facerec.pipeline.stage import stage

Norm = Literal["removed", "kept"]
HEADLINES = ("fnmr_at_fmr", "fnir_at_fpir", "rank1")


@stage("eval ijb")
def ijb(
    protocol: Path,
    embeddings: Path,
    out: Path,
    bootstrap: int = 0,
    seed: int = 0,
    norm: Norm = "removed",
    detector_scores: Path | None = None,
    compatibility: bool = False,
) -> Mapping[str, Any]:
    """Evaluates embeddings on an IJB-B or IJB-C protocol: 1:1 FNMR@FMR, 1:N FNIR@FPIR, ranks, curves.

    Args:
        protocol: Folder of protocol files: *_face_tid_mid.txt, *_template_pair_label.txt, *_1N_gallery_G1.csv,
            *_1N_gallery_G2.csv, *_1N_probe_mixed.csv; or, in NIST's layout, enroll_templates.csv, verif_templates.csv,
            match.csv, gallery_G1.csv, gallery_G2.csv, probes.csv, or those of the release, *_11_G1_G2_matches.csv and
            the galleries and probes as above.
        embeddings: Embedding folder, or a .npy file; faces match by keys.txt, or without it line by line.
        out: Folder for metrics.json, det.csv, iet.csv, cmc.csv and the plots; with --bootstrap also bootstrap.npy.
        bootstrap: How many times subjects are drawn for 95 % intervals (1000 is usual); 0 for none.
        seed: Draws them. Runs are compared in pairs (`eval compare`) if this and the number agree.
        norm: Whether the length of a face's embedding is removed before pooling, or kept as a weight.
        detector_scores: Weights of the faces in the order of the protocol: .npy, or insightface's
            *_name_5pts_score.txt.
        compatibility: Also give the figures of widely used scripts, by their definitions (docs/compatibility.md).
    """
    if bootstrap < 0:
        raise InputError(f"--bootstrap {bootstrap}; a number of samples, or 0 for no intervals")
    files = load_protocol(protocol)
    templates = _pool(files, embeddings, norm, detector_scores)
    sides = pair_positions(files.pairs, templates.ids)
    subject = subjects_of(files, templates.ids, *sides)
    scores = Scores.of(pair_scores(templates.features, *sides), files.pairs.genuine)
    probes = positions(templates.ids, files.probes.template)
    searches = {name: identify(gallery, files.probes, templates) for name, gallery in files.galleries.items()}
    det, iet = det_curve(scores.genuine, scores.impostor), iet_curve(searches)

    metrics = summarise(scores, searches, _corpus_counts(files, templates, subject))
    metrics["template"] = _recipe(files, embeddings, norm, detector_scores)
    found = None
    if bootstrap:
        both = tuple(subject.astype(np.int32)[side] for side in sides)
        rates = [point[0] for point in det], [point[0] for point in iet]
        found = resample(scores, both, searches, subject[probes], int(subject.max()) + 1, bootstrap, seed, rates)
        metrics["intervals"] = _intervals(found, metrics, bootstrap, seed)
        np.save(out / "bootstrap.npy", found.samples, allow_pickle=False)
    if compatibility:
        metrics["compatibility"] = _compatibility(files, templates, scores, metrics["template"])
    write_json(out / "metrics.json", metrics)
    _write_curves(out, det, iet, searches, found)
    return {key: metrics[key] for key in HEADLINES}


def _pool(files: Protocol, embeddings: Path, norm: str, detector_scores: Path | None) -> Templates:
    if norm not in ("removed", "kept"):
        raise InputError(f"--norm {norm}; removed or kept")
    weights = load_scores(detector_scores, len(files.faces.template)) if detector_scores else None
    if norm == "kept":
        vectors = load_lengths(embeddings)
        names = embeddings / "keys.txt"
        keys = load_keys(names, len(vectors)) if names.exists() else None
    else:
        embedded = load_embeddings(embeddings)
        vectors, keys = embedded.embeddings, embedded.keys
    rows = match_faces(files.faces, keys, len(vectors), embeddings)
    templates = pool(vectors, rows, files.faces.template, files.faces.media, weights)
    if templates.empty == len(templates.ids):
        raise InputError(f"{embeddings}: every embedding of the protocol's faces is zero; nothing to compare")
    return templates


def _recipe(files: Protocol, embeddings: Path, norm: str, detector_scores: Path | None) -> dict[str, Any]:
    """How the templates were made; whether mirrored faces went in is known where we embedded them."""
    meta = embeddings / "meta.json"
    flip = read_json(meta).get("config", {}).get("flip") if meta.exists() else None
    return {
        "layout": files.layout,
        "media": "mean of faces",
        "template": "sum of media, unit length",
        "norm": norm,
        "detector_scores": detector_scores is not None,
        "flip": flip,
    }


def _corpus_counts(files: Protocol, templates: Templates, subject: np.ndarray) -> dict[str, int]:
    return {
        "faces": len(files.faces.template),
        "unreadable_faces": templates.unreadable_faces,
        "media": templates.media,
        "templates": len(templates.ids),
        "empty_templates": templates.empty,
        "subjects": int(subject.max()) + 1,
        "probes": len(files.probes.template),
    }


def _intervals(found: Intervals, metrics: dict[str, Any], samples: int, seed: int) -> dict[str, Any]:
    """The intervals, in the same structure as the figures."""
    galleries = metrics["fnir_at_fpir_per_gallery"]
    return {
        "confidence": 0.95,
        "samples": samples,
        "seed": seed,
        "over": "subjects",
        "figures": found.names,
        "fnmr_at_fmr": {f: found.of(f"fnmr@{f}") for f in metrics["fnmr_at_fmr"]},
        "fnir_at_fpir": {f: found.of(f"fnir@{f}") for f in metrics["fnir_at_fpir"]},
        "fnir_at_fpir_per_gallery": {g: {f: found.of(f"fnir@{f}/{g}") for f in of} for g, of in galleries.items()},
        **{name: found.of(name) for name in ("rank1", "rank5", "rank10", "eer", "auc")},
    }


def _compatibility(files: Protocol, templates: Templates, scores: Scores, recipe: dict[str, Any]) -> dict[str, Any]:
    galleries = list(files.galleries.values())
    enrolled = positions(templates.ids, np.concatenate([part.template for part in galleries]))
    probes = positions(templates.ids, files.probes.template)
    return {
        "note": "figures of widely used scripts, by their definitions; see docs/compatibility.md",
        "insightface_ijb_11": {"tar_at_nearest_far": nearest_tar(scores.genuine, scores.impostor)},
        "insightface_ijb_1n": flattened_recall(
            templates.features[probes],
            files.probes.subject,
            templates.features[enrolled],
            np.concatenate([part.subject for part in galleries]),
        ),
        "test_mode": script_flags(recipe["norm"], recipe["detector_scores"], recipe["flip"]),
    }


def _write_curves(
    out: Path, det: list[Any], iet: list[list[float]], searches: dict[str, Search], found: Intervals | None
) -> None:
    from eval.report.plots import plot_det, plot_iet

    limits = [found.det, found.iet] if found else [{}, {}]
    names = [["fnmr_low", "fnmr_high"], ["fnir_mean_low", "fnir_mean_high"]] if found else [[], []]
    ends = [[(limits[0].get(point[0]) or ("", "")) if found else () for point in det]]
    ends += [[(limits[1].get(point[0]) or ("", "")) if found else () for point in iet]]
    rows = [[*point, 1 - point[1], *end] for point, end in zip(det, ends[0], strict=True)]
    write_table(out / "det.csv", ["fmr", "fnmr", "threshold", "tar", *names[0]], rows)
    rows = [[*point, *end] for point, end in zip(iet, ends[1], strict=True)]
    write_table(out / "iet.csv", ["fpir", *(f"fnir_{name}" for name in searches), "fnir_mean", *names[1]], rows)
    write_table(out / "cmc.csv", ["rank", *searches, "mean"], cmc_curve(searches))
    bands = [[(rate, *of) for rate, of in sorted(each.items()) if of] for each in limits]
    plot_det({"": [point[:2] for point in det]}, out / "det.png", {"": bands[0]})
    plot_iet({"": [(point[0], point[-1]) for point in iet]}, out / "iet.png", {"": bands[1]})
