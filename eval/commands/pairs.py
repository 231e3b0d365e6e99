"""The command ``pairs``: LFW and sets like it to 10-fold accuracy, and the figures of 1:1 verification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.bootstrap.resampling import check_samples
from eval.metrics.compatibility import grid_accuracy
from eval.metrics.fnmr import det_curve
from eval.metrics.pair_scores import PairScores, row_cosines
from eval.protocols.doubts import say_all_equal, say_chance, say_repeated_pairs, say_unreadable
from eval.protocols.pair_list import load_pair_list, match_pairs
from eval.report.curves import write_det
from eval.report.headline import headline
from eval.report.pair_set import pair_set_figures, pair_set_intervals
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import Unreadable, load_embeddings
from facerec.pipeline.files import write_json
from facerec.pipeline.pair_accuracy import decide
from facerec.pipeline.stage import stage


@stage("eval pairs", found="{headline}".format_map, then="look at {out}/det.png; {out}/metrics.json has all figures")
def pairs(
    pairs: Path,
    embeddings: Path,
    out: Path,
    bootstrap: int = 0,
    seed: Seed = 0,
    compatibility: bool = False,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Evaluates embeddings on a list of pairs: 10-fold accuracy, FNMR@FMR, EER, AUC.

    Args:
        pairs: LFW's pairs.txt, or the lists of CALFW, CPLFW, AgeDB; or a table with two names, 1 (one person) or 0,
            and perhaps the fold; or a folder: CFP's, or one with pairs.tsv, as `facerec bin` writes.
        embeddings: Embedding folder with keys.txt, or a file of embeddings with names; faces match by name.
        out: Folder for metrics.json, det.csv and det.png.
        bootstrap: How many times subjects (pairs, if the subjects are unknown) are drawn for 95 % intervals; 0 for no
            intervals.
        seed: Seed of the draws.
        compatibility: Also give the accuracy as widely used scripts do (docs/reference/published-figures.md).
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    check_samples(bootstrap)
    listed, embedded = load_pair_list(pairs), load_embeddings(embeddings, unreadable=unreadable)
    first, second = match_pairs(listed, embedded)
    say_repeated_pairs(lambda row: f"{listed.path} line {listed.lines[row]}", first, second)
    cosines = row_cosines(embedded.embeddings, first, second)
    say_all_equal(cosines.min(), cosines.max(), len(cosines), embeddings)
    scores = PairScores.of(cosines, listed.same)
    right, thresholds = decide(cosines, listed.same, listed.fold)
    metrics = pair_set_figures(listed, scores, right, thresholds)
    say_chance(metrics["auc"], embeddings)
    readable = embedded.embeddings[np.unique([first, second])].any(axis=1)
    failed = metrics["counts"]["unreadable_faces"] = int(np.count_nonzero(~readable))
    say_unreadable(
        embeddings, failed, counted(readable.size, "face"), "could not be read (rows of zeros); their pairs score 0"
    )
    if bootstrap:
        metrics["intervals"] = pair_set_intervals(listed, scores, right, bootstrap, seed)
    if compatibility:
        metrics["compatibility"] = {"insightface_verification": grid_accuracy(cosines, listed.same)}
    write_json(out / "metrics.json", metrics)
    write_det(out, det_curve(scores.genuine, scores.impostor))
    kept = {key: metrics[key] for key in ("accuracy", "accuracy_std", "fnmr_at_fmr")}
    return kept | {"headline": f"accuracy {kept['accuracy']:.2%}; {headline(metrics)}"}
