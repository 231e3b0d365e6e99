"""Embedding sets: reading, checking, normalising and writing them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from facerec.pipeline.embedding_files import read_embedding_file
from facerec.pipeline.files import (
    BLOCK_ROWS,
    InputError,
    ObstacleError,
    blocks,
    load_array,
    new_array,
    row_blocks,
    write_lines,
    write_table,
)
from facerec.pipeline.label_files import keys_beside, load_labels, numbered, refuse_other_order
from facerec.pipeline.ranks import make_once
from facerec.pipeline.values import as_array, as_path, conversion, whole

logger = logging.getLogger(__name__)
UNIT_TOLERANCE = 1e-3
MOST_LISTED = 20
LEAST_NUMBERS, MOST_NUMBERS = 16, 8192  # of a face; recognisers give neither fewer nor more
LEAST_LENGTH, MOST_LENGTH = 1e-12, 1e12  # between which squares of float32 lose nothing

Unreadable = Literal["refuse", "skip"]
"""Rows with NaN or infinite values are an error, or faces that could not be read."""


@dataclass(frozen=True)
class EmbeddingSet:
    """Face embeddings and what is known about their rows.

    Attributes:
        embeddings: float32 [n, d]; unit rows, or zero rows for faces that could not be read. Often a read-only
            memory map.
        keys: One name a row (the face's relative path), or None.
        labels: int64 [n] identities, -1 where unknown, or None.
        path: Where it was read from, for messages.
        not_finite: int64, the rows that had NaN or infinite values, which are zero rows now.
    """

    embeddings: np.ndarray
    keys: list[str] | None
    labels: np.ndarray | None
    path: Path
    not_finite: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def readable(self) -> np.ndarray:
        """Bool [n]: False for the zero rows of faces that could not be read."""
        return readable_rows(self.embeddings)

    def labels_in(self, labels: Path | None) -> np.ndarray | None:
        """The labels in a file or folder, one for each face, int64 [n]; without one those that the faces came with.

        Raises:
            InputError: Unusable labels, of another number of faces, or of faces in another order.
        """
        if labels is None:
            return self.labels
        found = load_labels(labels, len(self))
        refuse_other_order(labels, self.path, self.keys)
        return found


def refuse_other_length(embeddings: np.ndarray, path: Path, faces: EmbeddingSet) -> None:
    """Refuses embeddings that no cosine compares with those of some faces.

    Args:
        embeddings: float32 [m, d].
        path: Where they are from, for the message.
        faces: The faces.

    Raises:
        InputError: Their length is not that of the faces' embeddings.
    """
    if embeddings.shape[1] != faces.embeddings.shape[1]:
        raise InputError(
            f"{path}: embeddings of length {embeddings.shape[1]}, those of {faces.path} of "
            f"{faces.embeddings.shape[1]}; embed both with the same model"
        )


def readable_rows(embeddings: np.ndarray) -> np.ndarray:
    """Bool [n]: False for zero rows."""
    return np.concatenate([rows.any(axis=1) for rows in blocks(embeddings)])


def weighted_sums(embeddings: np.ndarray) -> np.ndarray:
    """Float64 [n]: a sum of each row's values in which the place of each counts, to tell rows from each other."""
    return np.asarray(np.einsum("nd,d->n", embeddings, np.sqrt(np.arange(1.0, embeddings.shape[1] + 1))))


def load_embeddings(
    path: Path, scratch: Path | None = None, rows: int | None = None, unreadable: Unreadable = "refuse"
) -> EmbeddingSet:
    """Reads an embedding set: a folder with ``embeddings.npy``, or a file, see `facerec.pipeline.embedding_files`.

    Float32 unit rows of a .npy or .bin file stay a memory map. Other float types, as float16 that takes half the disk,
    and other lengths are accepted and normalised, with a note in the log.

    Args:
        path: The folder or file; ``FILE:NAME`` for an array of a file that holds several.
        scratch: File for normalised rows, which are then mapped; if it is there it holds them already. Of several
            processes the first makes it. Without it they are in memory.
        rows: The number of rows they must have, if known.
        unreadable: Whether rows with NaN or infinite values are refused, or skipped: they become zero rows, as those of
            faces that could not be read.

    Raises:
        InputError: No embeddings there, several that are not named, NaN or infinite values, another number of rows,
            keys or labels of another length, or no room for `scratch`.
    """
    path, scratch = as_path("embeddings", path), None if scratch is None else as_path("scratch", scratch)
    rows = None if rows is None else whole("rows", rows, 0)
    file = path / "embeddings.npy" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise InputError(f"{path}: no embeddings.npy in this folder; give the file itself where it has another name")
    found = read_embedding_file(file, rows)
    embeddings, keys = found.embeddings, found.keys
    if rows is not None and len(embeddings) != rows:
        raise InputError(f"{file}: {len(embeddings)} embeddings for {rows} faces; they must match one to one")
    bad, unit = _examined(embeddings)
    if not unit:
        _refuse_transposed(str(file), embeddings)
    if bad.size:
        _say_not_finite(file, bad, len(embeddings), unreadable)
    if not unit:
        lengths = " not of unit length" if embeddings.dtype == np.float32 else ""
        where = "in memory" if scratch is None else "on disk"
        logger.warning("%s: %s rows%s; normalised %s", file, embeddings.dtype, lengths, where)
    if bad.size or not unit:
        embeddings = _normalised(embeddings, scratch)
    labels = None if found.labels is None else _one_each(numbered(found.labels, file), file, len(embeddings))
    keys = keys_beside(path, len(embeddings)) or keys
    if path.is_dir() and (path / "labels.npy").exists():
        labels = load_labels(path / "labels.npy", len(embeddings))
    return EmbeddingSet(embeddings, keys, labels, path, bad)


def _one_each(labels: np.ndarray, file: Path, rows: int) -> np.ndarray:
    if len(labels) != rows or labels.min() < -1:
        raise InputError(
            f"{file}: {len(labels)} labels from {labels.min()} on for {rows} embeddings; expected one each, -1 or more"
        )
    return labels


def _say_not_finite(file: Path, bad: np.ndarray, rows: int, unreadable: Unreadable) -> None:
    """Lists rows with NaN or infinite values, or refuses them."""
    if unreadable not in ("refuse", "skip"):
        raise InputError(f"--unreadable {unreadable}; refuse or skip")
    if unreadable == "refuse":
        raise InputError(
            f"{file}: row {bad[0]} has NaN or infinite values ({bad.size} of {rows} rows do); recompute them, or leave "
            "them out with --unreadable skip"
        )
    if bad.size == rows:
        raise InputError(f"{file}: all {rows} rows have NaN or infinite values; recompute them")
    some = ", ".join(map(str, bad[:MOST_LISTED])) + (", ..." if bad.size > MOST_LISTED else "")
    logger.warning("%s: %d of %d rows have NaN or infinite values and are left out: %s", file, bad.size, rows, some)


def write_not_finite(out: Path, faces: EmbeddingSet) -> dict[str, int]:
    """Lists the rows that had NaN or infinite values in ``OUT/skipped.csv``; nothing where there are none.

    Returns:
        How many they are, for ``meta.json``.
    """
    bad = faces.not_finite
    if not bad.size:
        return {}
    keys = [""] * bad.size if faces.keys is None else [faces.keys[row] for row in bad]
    reasons = ["NaN or infinite values"] * bad.size
    write_table(out / "skipped.csv", ("row", "key", "reason"), zip(bad.tolist(), keys, reasons, strict=True))
    return {"skipped": int(bad.size)}


def unit_rows(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Embeddings as every graph and clusterer wants them: float32 [n, d], unit or zero rows.

    Args:
        embeddings: [n, d] of any number type, length and memory order. What is right already is returned as it is.
        name: What they are, for messages.

    Raises:
        InputError: Not two dimensions, no numbers, masked ones, no face, or NaN or infinite values; it names the row.
    """
    embeddings = as_array(name, embeddings)
    found = f"{name}: {embeddings.dtype} of shape {list(embeddings.shape)}"
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise InputError(f"{found}; expected numbers [n, d]{conversion(embeddings)}")
    if not embeddings.size:
        raise InputError(f"{found}; expected at least one face")
    if embeddings.dtype.itemsize > 8:  # a long double, which a sum of squares in float64 does not take
        embeddings = embeddings.astype(np.float64)
    if is_unit(embeddings, name):
        return embeddings
    _refuse_transposed(name, embeddings)
    if embeddings.dtype.kind == "u":
        logger.warning("%s; if a shift was added so that none is below zero, subtract it: all faces are alike", found)
    return np.concatenate([normalize(rows) for rows in blocks(embeddings)])


def _refuse_transposed(name: str, embeddings: np.ndarray) -> None:
    """Refuses arrays [d, n] in which the columns are the faces: there are more of them, and each has length 1."""
    rows, columns = embeddings.shape
    if columns <= rows or rows < LEAST_NUMBERS:
        return
    if columns > MOST_NUMBERS:
        logger.warning("%s: %d faces of %d numbers each; if that is the wrong way round, save x.T", name, rows, columns)
    with np.errstate(over="ignore"):
        squares = sum(np.einsum("nd,nd->d", block, block, dtype=np.float64) for block in blocks(embeddings))
    if np.any(squares) and np.all((np.abs(squares - 1) < 2 * UNIT_TOLERANCE) | (squares == 0)):
        raise InputError(
            f"{name}: {rows} rows of {columns} numbers, in which each column has length 1; a row is a face: save x.T"
        )


def is_unit(embeddings: np.ndarray, name: str = "embeddings") -> bool:
    """Whether all rows, [n, d], are float32 and of unit length, or zero.

    Raises:
        InputError: NaN or infinite values; it names the row.
    """
    bad, unit = _examined(embeddings)
    if bad.size:
        raise InputError(f"{name}: row {bad[0]} has NaN or infinite values; recompute it")
    return unit


def _examined(embeddings: np.ndarray) -> tuple[np.ndarray, bool]:
    """The rows with NaN or infinite values, int64; and whether all others are float32 and of unit length, or zero."""
    unit, wrong = embeddings.dtype == np.float32, [np.empty(0, np.int64)]
    for some in row_blocks(len(embeddings)):
        block = embeddings[some]
        squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(squares))
        bad = bad[~np.isfinite(block[bad]).all(axis=1)]
        wrong.append(some.start + bad)
        other = np.setdiff1d(np.flatnonzero(~(np.abs(squares - 1) < 2 * UNIT_TOLERANCE)), bad)
        unit &= not np.any(block[other])
    return np.concatenate(wrong), unit


def _normalised(embeddings: np.ndarray, scratch: Path | None) -> np.ndarray:
    """Unit rows, in memory or mapped; those with NaN or infinite values become zero rows."""
    if scratch is None:
        return np.concatenate([normalize(_finite(rows)) for rows in blocks(embeddings)])
    size = 4 * embeddings.size

    def make(file: Path) -> None:
        if shutil.disk_usage(file.parent).free < size:
            raise ObstacleError(
                f"{file.parent}: too little room for {-(-size >> 20)} MiB of float32 rows; choose another --out"
            )
        rows = new_array(file, np.float32, embeddings.shape)
        for some in row_blocks(len(rows)):
            rows[some] = normalize(_finite(embeddings[some]))
        rows.flush()

    return load_array(make_once(scratch, make), kind="f", ndim=2)


def _finite(rows: np.ndarray) -> np.ndarray:
    whole = np.isfinite(rows).all(axis=1, keepdims=True)
    return rows if whole.all() else np.where(whole, rows, np.zeros(1, rows.dtype))


def save_embeddings(
    folder: Path, embeddings: np.ndarray, keys: Sequence[str] | None = None, labels: np.ndarray | None = None
) -> None:
    """Writes an embedding set into an existing folder."""
    np.save(folder / "embeddings.npy", np.asarray(embeddings, dtype=np.float32), allow_pickle=False)
    save_names(folder, keys, labels)


def save_names(folder: Path, keys: Sequence[str] | None, labels: np.ndarray | None = None) -> None:
    """Writes the keys and labels of faces, as far as there are any."""
    if keys is not None:
        write_lines(folder / "keys.txt", keys)
    if labels is not None:
        np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64), allow_pickle=False)


def normalize(rows: np.ndarray) -> np.ndarray:
    """Float32 rows of unit length; zero rows stay zero.

    Args:
        rows: [n, d], finite, of any length: those whose squares float32 cannot hold are scaled first.
    """
    if len(rows) > BLOCK_ROWS:
        found = np.empty(rows.shape, np.float32)
        for some in row_blocks(len(rows)):
            found[some] = normalize(rows[some])
        return found
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = rows.astype(np.float32, copy=False)
        norms = np.linalg.norm(single, axis=1, keepdims=True)
        unit = single / np.where(norms == 0, 1, norms)
    extreme = np.flatnonzero(~((norms > LEAST_LENGTH) & (norms < MOST_LENGTH)))
    if extreme.size:
        wide = rows[extreme].astype(np.float64)
        largest = np.abs(wide).max(axis=1, keepdims=True, initial=0)
        wide /= np.where(largest == 0, 1, largest)
        unit[extreme] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1)
    return unit
