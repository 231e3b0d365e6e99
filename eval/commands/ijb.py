"""The command ``ijb``: embeddings and an IJB-B or IJB-C protocol to FNMR@FMR, FNIR@FPIR, ranks, intervals, curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eval.bootstrap.resampling import check_samples
from eval.metrics.fnir import iet_curve
from eval.metrics.fnmr import det_curve
from eval.protocols.doubts import say_all_equal, say_chance, say_repeated_pairs, say_unreadable
from eval.protocols.evaluation import Evaluation, evaluate, without_empty
from eval.protocols.face_templates import pool_protocol, template_options
from eval.protocols.open import load_protocol
from eval.report.curves import Curves
from eval.report.figures import FPIRS, summarise
from eval.report.headline import headline
from eval.report.histogram import score_bins, write_scores
from eval.report.intervals import resample
from eval.report.scripts import script_figures
from eval.report.worst_pairs import write_worst
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import Unreadable
from facerec.pipeline.files import write_json
from facerec.pipeline.stage import stage

Norm = Literal["removed", "kept"]
Missing = Literal["count", "exclude"]
HEADLINES = ("fnmr_at_fmr", "fnir_at_fpir", "rank1")


@stage("eval ijb", found="{headline}".format_map, then="python -m eval compare --runs {out} OTHER --out COMPARISON")
def ijb(
    protocol: Path,
    embeddings: Path,
    out: Path,
    bootstrap: int = 0,
    seed: Seed = 0,
    norm: Norm = "removed",
    detector_scores: Path | None = None,
    compatibility: bool = False,
    missing: Missing | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Evaluates embeddings on an IJB-B or IJB-C protocol: 1:1 FNMR@FMR, 1:N FNIR@FPIR, ranks, curves.

    Args:
        protocol: Folder of protocol files: *_face_tid_mid.txt, *_template_pair_label.txt, *_1N_gallery_G1.csv,
            *_1N_gallery_G2.csv, *_1N_probe_mixed.csv; or, in NIST's layout, enroll_templates.csv, verif_templates.csv,
            match.csv, gallery_G1.csv, gallery_G2.csv, probes.csv, or those of the release, *_11_G1_G2_matches.csv and
            the galleries and probes as above. One gallery will do; without galleries and probes it is 1:1 alone.
        embeddings: Embedding folder, or a file of embeddings (see clustering knn); faces match by keys.txt or by the
            names in the file (a .png for a .jpg will do), or without them line by line.
        out: Folder for metrics.json, det.csv, iet.csv, cmc.csv, scores.csv, worst.csv and the plots; with --bootstrap
            also bootstrap.npy.
        bootstrap: How many times subjects are drawn for 95 % intervals (1000 is usual); 0 for no intervals.
        seed: Seed of the draws. eval compare compares runs in pairs if their seed and number of draws agree.
        norm: Whether the length of a face's embedding is removed before pooling, or kept as a weight.
        detector_scores: Weights of the faces: .npy in the order of the protocol, or insightface's
            *_name_5pts_score.txt, in which faces are found by name.
        compatibility: Also give the figures of widely used scripts, by their definitions: see
            docs/reference/published-figures.md.
        missing: What to do with faces that have no embedding; by default they are an error. count takes them as
            unreadable. exclude leaves out the templates without a readable face, and reports the figures with these
            templates as well.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    check_samples(bootstrap)
    files = load_protocol(protocol)
    templates = pool_protocol(files, embeddings, norm, detector_scores, missing is None, unreadable)
    fpirs = [float(f) for f in FPIRS]
    with_failures = evaluate(files, templates, fpirs)
    say_repeated_pairs(files.pairs.where, *with_failures.pairs)
    fate = "are left out" if missing == "exclude" else "count as failures; --missing exclude leaves them out"
    face = "no readable face with a detector score above 0" if detector_scores else "no face that could be read"
    say_unreadable(embeddings, templates.empty, counted(len(templates.ids), "template"), f"have {face}, and {fate}")
    unread = "have no embedding, or one of zeros; their templates are made without them"
    say_unreadable(embeddings, templates.unreadable_faces, counted(len(files.faces.template), "face"), unread)
    scores = with_failures.scores.pairs
    say_all_equal(scores.min(), scores.max(), len(scores), embeddings)
    excluding = missing == "exclude" and templates.empty > 0
    files = without_empty(files, templates) if excluding else files
    evaluation = evaluate(files, templates, fpirs) if excluding else with_failures
    curves = _curves(evaluation)
    metrics = summarise(evaluation)
    say_chance(metrics["auc"], embeddings)
    metrics["comparisons"] = files.digest()
    metrics["template"] = template_options(files, embeddings, norm, detector_scores)
    metrics |= {} if missing is None else {"missing": missing}
    if excluding:
        figures = summarise(with_failures)
        metrics["with_failures"] = {name: value for name, value in figures.items() if name in HEADLINES}
    intervals = None
    if bootstrap:
        intervals = resample(evaluation, bootstrap, seed, curves.rates())
        metrics["intervals"] = intervals.entries(metrics, seed)
        np.save(out / "bootstrap.npy", intervals.samples, allow_pickle=False)
    if compatibility:
        metrics["compatibility"] = script_figures(files, templates, evaluation.pairs, metrics["template"])
    write_scores(out, score_bins(evaluation.scores))
    write_worst(out, evaluation, files.faces, templates.ids)
    write_json(out / "metrics.json", metrics)
    curves.write(out, intervals)
    return {key: metrics[key] for key in HEADLINES if key in metrics} | {"headline": headline(metrics)}


def _curves(evaluation: Evaluation) -> Curves:
    det, found = det_curve(evaluation.scores.genuine, evaluation.scores.impostor), evaluation.identification
    searches = found.searches if found else ()
    return Curves(det, iet_curve(searches) if found and found.points else {}, searches, evaluation.galleries)
