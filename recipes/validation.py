"""What each round brings on people whom no recogniser was trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, read_json, whole_file, write_json, write_lines

FMR = "1e-3"
GENUINE, IMPOSTOR = 50_000, 200_000


def write_pairs(faces: EmbeddingSet, out: Path) -> None:
    """Draws pairs of one person and of two, and writes them into ``OUT/pairs.tsv``, the same every time.

    Raises:
        InputError: No names or identities, or nobody with two faces, or one person.
    """
    if faces.keys is None or faces.labels is None:
        raise InputError(f"{faces.path}: no keys.txt or no labels.npy; validation needs faces with identities")
    rng, known = np.random.default_rng(0), np.where(faces.readable, faces.labels, -1)
    genuine, impostor = draw_pairs(known, True, GENUINE, rng), draw_pairs(known, False, IMPOSTOR, rng)
    if not len(genuine) or not len(impostor):
        raise InputError(f"{faces.path}: {len(genuine)} pairs of one person, {len(impostor)} of two; both are needed")
    pairs, same = np.concatenate([genuine, impostor]), np.repeat([1, 0], [len(genuine), len(impostor)])
    rows = np.column_stack([pairs, same])[rng.permutation(len(pairs))].tolist()
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "pairs.tsv") as temporary:
        write_lines(temporary, (f"{faces.keys[one]}\t{faces.keys[other]}\t{same}" for one, other, same in rows))


def draw_pairs(labels: np.ndarray, same: bool, most: int, rng: np.random.Generator) -> np.ndarray:
    """Different pairs of faces of one person, or of two, each pair equally likely.

    Args:
        labels: int64 [n] identities; faces of -1 are in no pair.
        same: Whether both faces are of one person.
        most: How many are drawn; those drawn again are left out, so that there are fewer.
        rng: Draws them.

    Returns:
        int64 [pairs, 2], rows in the order of `labels`, the lower one first.
    """
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    _, first, person, sizes = np.unique(labels[rows], return_index=True, return_inverse=True, return_counts=True)
    own, start = sizes[person], first[person]  # of each place: faces of its person, and where these begin
    partners = own - 1 if same else len(rows) - own
    if not partners.any():
        return np.empty((0, 2), np.int64)
    one = rng.choice(len(rows), most, p=partners / partners.sum())
    other = rng.integers(partners[one])
    if same:
        other += start[one]
        other += other >= one
    else:
        other += np.where(other >= start[one], own[one], 0)
    return np.unique(np.sort(np.column_stack([rows[one], rows[other]]), axis=1), axis=0)


def write_figures(out: Path, rows: Sequence[str]) -> None:
    """Reads ``OUT/rows/ROW/pairs/metrics.json`` of each row, writes ``OUT/validation/rounds.json``, and logs them.

    Args:
        out: The folder of the run.
        rows: In the order of training.

    Raises:
        InputError: No figures of one of them.
    """
    fnmr = {row: float(read_json(out / "rows" / row / "pairs" / "metrics.json")["fnmr_at_fmr"][FMR]) for row in rows}
    write_json(out / "validation" / "rounds.json", {f"fnmr@{FMR}": fnmr})
    said = ", ".join(f"{row} {100 * value:.2f}" for row, value in fnmr.items())
    print(f"== validation, FNMR@FMR {FMR} in per cent: {said}", file=sys.stderr)
