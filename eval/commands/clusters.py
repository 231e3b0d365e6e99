"""The command ``clusters``: scores of a clustering against true identities."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from eval.clusters import scores
from eval.clusters.identities import details, sizes
from facerec.pipeline.arguments import typed
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, check_json_target, write_json
from facerec.pipeline.label_files import load_labels, refuse_other_order

logger = logging.getLogger(__name__)


@typed
def clusters(truth: Path, predicted: Path, json: Path | None = None, detail: Path | None = None) -> None:
    """Scores clusters against true identities: pairwise F, BCubed F, NMI, purity, identities found.

    Args:
        truth: Identities: .npy, a folder with labels.npy, a number or name a line, FILE.csv:COLUMN, or the labels in a
            file of embeddings; -1 leaves a face out.
        predicted: Clusters: a clustering folder, or a file as of `truth`; -1 is a cluster of one face.
        json: Also write the figures, and the sizes true and found, into this file.
        detail: Also write sizes true and found, splits, merges and the worst clusters into this file.
    """
    for name, file in [("json", json), ("detail", detail)]:
        if file is not None:
            check_json_target(name, file)
    if json is not None and json == detail:
        raise InputError(f"{json}: both --json and --detail would write it; name two files")
    identities = load_labels(truth)
    labels = load_labels(predicted)
    if len(labels) != len(identities):
        raise InputError(
            f"{predicted}: {len(labels)} cluster labels, but {truth} has {len(identities)} identities; "
            "both must be of the same faces in the same order"
        )
    refuse_other_order(truth, predicted)
    if identities.max() < 0:
        raise InputError(f"{truth}: every identity is -1 (unknown); nothing to score")
    figures = scores(identities, labels)
    if json is not None:
        write_json(json, {**figures, "sizes": sizes(identities, labels)})
    if detail is not None:
        write_json(detail, details(identities, labels))
    print(format_scores(figures))
    if os.path.realpath(truth) == os.path.realpath(predicted):
        logger.warning("--truth and --predicted are the same file or folder: give the true identities as --truth")


def format_scores(figures: dict[str, float]) -> str:
    """A small table for the terminal."""
    lines = [f"{'':10}{'F':>9}{'precision':>11}{'recall':>9}"]
    for name, title in [("pairwise", "pairwise"), ("bcubed", "BCubed")]:
        f, precision, recall = (figures[f"{name}_{part}"] for part in ("f", "precision", "recall"))
        lines.append(f"{title:10}{f:9.4f}{precision:11.4f}{recall:9.4f}")
    lines += [f"{'NMI':10}{figures['nmi']:9.4f}", f"{'purity':10}{figures['purity']:9.4f}"]
    lines.append(
        f"{counted(int(figures['clusters']), 'cluster')} for {counted(int(figures['identities']), 'identity')}; "
        f"{figures['assigned']:,} of {counted(int(figures['faces']), 'face')} assigned; "
        f"{100 * figures['identities_found']:.1f} % of the identities found"
    )
    return "\n".join(lines)
