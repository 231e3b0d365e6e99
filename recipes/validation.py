"""Which round's recogniser is best on people whom none was trained on, and for how many rounds nothing was better.

    python recipes/validation.py pairs --faces EMBEDDINGS --out FOLDER
    settings=$(python recipes/validation.py choose --out FOLDER labelled hilander-round1 hilander-round2)

``pairs`` draws pairs of the embedded faces, which need identities, into ``FOLDER/pairs.tsv`` for ``eval pairs``.
``choose`` reads ``FOLDER/NAME/pairs/metrics.json`` of each recogniser, in the order of training. The first is the best
until one has a lower FNMR at FMR 1e-3. It writes ``FOLDER/rounds.json`` and prints shell variables: ``CHOSEN``, and
``STALE``, how many recognisers came after it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet, load_embeddings
from facerec.pipeline.files import InputError, read_json, write_json, write_lines

FMR = "1e-3"
GENUINE, IMPOSTOR = 50_000, 200_000


def main() -> None:
    """Runs one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing, choosing = commands.add_parser("pairs"), commands.add_parser("choose")
    drawing.add_argument("--faces", type=Path, required=True, help="embedding folder with keys.txt and labels.npy")
    choosing.add_argument("names", nargs="+", help="recognisers in the order of training")
    for each in (drawing, choosing):
        each.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        if options.command == "pairs":
            write_pairs(load_embeddings(options.faces), options.out)
        else:
            print_choice(options.out, options.names)
    except InputError as error:
        print(f"validation: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def write_pairs(faces: EmbeddingSet, out: Path) -> None:
    """Draws pairs of one person and of two, and writes them in random order, the same ones every time.

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
    temporary = out / f".pairs.{os.getpid()}"
    write_lines(temporary, (f"{faces.keys[one]}\t{faces.keys[other]}\t{same}" for one, other, same in rows))
    temporary.replace(out / "pairs.tsv")


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


def print_choice(out: Path, names: Sequence[str]) -> None:
    """Writes ``rounds.json`` and prints the choice."""
    fnmr = [float(read_json(out / name / "pairs" / "metrics.json")["fnmr_at_fmr"][FMR]) for name in names]
    chosen, stale = choose(fnmr)
    figures = dict(zip(names, fnmr, strict=True))
    write_json(out / "rounds.json", {f"fnmr@{FMR}": figures, "chosen": names[chosen], "rounds_since": stale})
    said = ", ".join(f"{name} {100 * value:.2f}" for name, value in figures.items())
    print(f"== validation, FNMR@FMR {FMR} in per cent: {said}; best: {names[chosen]}", file=sys.stderr)
    print(f"CHOSEN={shlex.quote(names[chosen])}\nSTALE={stale}")


def choose(errors: Sequence[float]) -> tuple[int, int]:
    """The place of the lowest error, of equal ones the first; and how many come after it.

    Example:
        >>> choose([0.3, 0.2, 0.2, 0.25])
        (1, 2)
    """
    best = int(np.argmin(errors))
    return best, len(errors) - 1 - best


if __name__ == "__main__":
    main()
