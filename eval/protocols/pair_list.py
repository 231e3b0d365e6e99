"""Lists of verification pairs, and the embeddings of their faces; `eval.protocols.pair_layouts` reads the lists."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from eval.protocols.cfp import is_cfp, read_cfp
from eval.protocols.checks import check_both_kinds
from eval.protocols.names import find_rows
from eval.protocols.pair_layouts import PairList, even_folds, read_pair_list
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError
from facerec.pipeline.pair_accuracy import FOLDS

logger = logging.getLogger(__name__)


def load_pair_list(path: Path) -> PairList:
    """Reads a list of pairs of any layout, the pairs.tsv of a folder, or CFP's folder Split/FF or Split/FP.

    A list without folds gets ten: of the genuine and of the impostor pairs, in their order, a tenth each.

    Raises:
        InputError: Missing, empty or malformed (naming the line), too few pairs for folds, or one kind of pairs, also
            in all folds but one.
    """
    if path.is_dir() and is_cfp(path):
        listed = read_cfp(path)
    else:
        listed = read_pair_list(path / "pairs.tsv" if path.is_dir() else path)
    check_both_kinds(listed.path, listed.same)
    if listed.fold.max() > 0:
        _check_other_folds(listed)
        return listed
    if min(np.bincount(listed.same, minlength=2)) < FOLDS:
        raise InputError(
            f"{listed.path}: one fold of {len(listed.same)} pairs; the threshold of a fold comes from the others. "
            f"At least {FOLDS} pairs of either kind make {FOLDS} folds"
        )
    logger.warning("%s: no folds; its pairs make %d folds in their order", listed.path, FOLDS)
    return even_folds(listed)


def _check_other_folds(listed: PairList) -> None:
    """Refuses folds of which the others have one kind of pairs only: these say nothing about a threshold."""
    for kind, same in (("genuine", listed.same), ("impostor", ~listed.same)):
        folds = np.unique(listed.fold[same])
        if len(folds) == 1:
            raise InputError(
                f"{listed.path}: one fold has all {kind} pairs, and its threshold comes from the others; spread both "
                "kinds over the folds, or leave the folds out"
            )


def match_pairs(listed: PairList, embedded: EmbeddingSet) -> tuple[np.ndarray, np.ndarray]:
    """The embedding rows of both faces of each pair, int64 [p] each, by name.

    Raises:
        InputError: No keys, a key that is there twice or for two faces, or a face without embedding.
    """
    if embedded.keys is None:
        raise InputError(f"{embedded.path}: no keys.txt; the faces of pairs match by name, so that it is needed")
    both = [*listed.first, *listed.second]
    rows = find_rows(both, embedded.keys, embedded.path, by_file=True).reshape(2, -1)
    missing = np.argwhere(rows.T < 0)
    if missing.size:
        pair, side = missing[0]
        raise InputError(
            f"{listed.path} line {listed.lines[pair]}: face {(listed.first, listed.second)[side][pair]!r} has no "
            f"embedding in {embedded.path} ({np.count_nonzero((rows < 0).any(axis=0))} of {len(listed.first)} pairs "
            "lack one)"
        )
    return rows[0], rows[1]
