"""The file formats that stages hand to each other, and the error for input that does not fit them.

CONTRIBUTING.md says what else `clustering` and `eval` may import of `facerec`.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facerec.processes import once

logger = logging.getLogger(__name__)

BLOCK_ROWS = 65_536
UNIT_TOLERANCE = 1e-3
DTYPES = ("float32", "float16")


class InputError(ValueError):
    """Input that cannot be used. Its text is one line: what was found, where, and what to do."""


@dataclass(frozen=True)
class EmbeddingSet:
    """Face embeddings and what is known about their rows.

    Attributes:
        embeddings: float32 [n, d]; unit rows, or zero rows for faces that could not be read. Often a read-only
            memory map.
        keys: One name a row (the face's relative path), or None.
        labels: int64 [n] identities, -1 where unknown, or None.
        path: Where it was read from, for messages.
    """

    embeddings: np.ndarray
    keys: list[str] | None
    labels: np.ndarray | None
    path: Path

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def readable(self) -> np.ndarray:
        """Bool [n]: False for the zero rows of faces that could not be read."""
        return readable_rows(self.embeddings)


def readable_rows(embeddings: np.ndarray) -> np.ndarray:
    """Bool [n]: False for zero rows."""
    return np.concatenate([rows.any(axis=1) for rows in blocks(embeddings)])


def blocks(array: np.ndarray, rows: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
    """Yields views of consecutive blocks of an array's rows."""
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def load_array(path: Path, kind: str, ndim: int) -> np.ndarray:
    """Maps a .npy file read-only, never unpickling.

    Args:
        path: The file.
        kind: Allowed NumPy dtype kinds, e.g. ``"f"`` for floats, ``"iu"`` for integers.
        ndim: Number of dimensions it must have.

    Raises:
        InputError: Missing, not a .npy file, truncated, empty, or of another dtype or shape.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}); it may be truncated") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an archive of arrays; give a .npy file with one array")
    if array.dtype.kind not in kind or array.ndim != ndim:
        wanted = {"f": "floats", "iu": "integers"}.get(kind, kind)
        raise InputError(
            f"{path}: {array.dtype} with shape {list(array.shape)}; expected {wanted} with {ndim} dimension(s)"
        )
    if array.size == 0:
        raise InputError(f"{path}: empty array with shape {list(array.shape)}; expected at least one row")
    return array


def load_embeddings(path: Path, scratch: Path | None = None, rows: int | None = None) -> EmbeddingSet:
    """Reads an embedding set: a folder with ``embeddings.npy``, or such a file alone.

    Float32 unit rows stay a memory map. Other float types, as float16 that takes half the disk, and other lengths are
    accepted and normalised, with a note in the log.

    Args:
        path: The folder or file.
        scratch: File for normalised rows, which are then mapped; if it is there it holds them already. Of several
            processes the first makes it. Without it they are in memory.
        rows: The number of rows they must have, if known.

    Raises:
        InputError: No embeddings there, NaN or infinite values, another number of rows, keys or labels of another
            length, or no room for `scratch`.
    """
    path = Path(path)
    file = path / "embeddings.npy" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise InputError(f"{path}: no embeddings.npy in this folder")
    embeddings = load_array(file, kind="f", ndim=2)
    if rows is not None and len(embeddings) != rows:
        raise InputError(f"{file}: {len(embeddings)} embeddings for {rows} faces; they must match one to one")
    is_unit = embeddings.dtype == np.float32
    for index, block in enumerate(blocks(embeddings)):
        squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(squares))
        if bad.size:
            raise InputError(f"{file}: row {index * BLOCK_ROWS + bad[0]} has NaN or infinite values; recompute it")
        is_unit &= bool(np.all((np.abs(squares - 1) < 2 * UNIT_TOLERANCE) | (squares == 0)))
    if not is_unit:
        logger.warning(
            "%s: %s, not float32 rows of unit length; normalised in %s", file, embeddings.dtype, scratch or "memory"
        )
        embeddings = _normalised(embeddings, scratch)
    keys = labels = None
    if path.is_dir() and (path / "keys.txt").exists():
        keys = load_keys(path / "keys.txt", len(embeddings))
    if path.is_dir() and (path / "labels.npy").exists():
        labels = load_labels(path / "labels.npy", len(embeddings))
    return EmbeddingSet(embeddings, keys, labels, path)


def _normalised(embeddings: np.ndarray, scratch: Path | None) -> np.ndarray:
    if scratch is None:
        return np.concatenate([normalize(rows) for rows in blocks(embeddings)])
    size = 4 * embeddings.size

    def make(file: Path) -> None:
        if shutil.disk_usage(file.parent).free < size:
            raise InputError(
                f"{file.parent}: too little room for {size >> 20} MiB of float32 rows; choose another --out"
            )
        rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=embeddings.shape)
        for number, block in enumerate(blocks(embeddings)):
            rows[number * BLOCK_ROWS : number * BLOCK_ROWS + len(block)] = normalize(block)
        rows.flush()

    return load_array(once(scratch, make), kind="f", ndim=2)


def save_embeddings(
    folder: Path, embeddings: np.ndarray, keys: Sequence[str] | None = None, labels: np.ndarray | None = None
) -> None:
    """Writes an embedding set into an existing folder."""
    np.save(folder / "embeddings.npy", np.asarray(embeddings, dtype=np.float32), allow_pickle=False)
    if keys is not None:
        write_lines(folder / "keys.txt", keys)
    if labels is not None:
        np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64), allow_pickle=False)


def embedding_dtype(name: str) -> np.dtype:
    """How embeddings are written.

    Raises:
        InputError: None of `DTYPES`.
    """
    if name not in DTYPES:
        raise InputError(f"--dtype {name}; choose one of {', '.join(DTYPES)}")
    return np.dtype(name)


def normalize(rows: np.ndarray) -> np.ndarray:
    """Float32 rows of unit length; zero rows stay zero."""
    rows = rows.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def load_labels(path: Path, rows: int | None = None) -> np.ndarray:
    """Reads identity or cluster labels, int64 [n], -1 where unknown or unassigned.

    Args:
        path: A .npy file, or a folder with ``labels.npy`` (an embedding set, a clustering, pseudo-labels).
        rows: The number of rows they must have, if known.

    Raises:
        InputError: Missing or unusable file, labels below -1, or another number of rows.
    """
    path = Path(path)
    file = path / "labels.npy" if path.is_dir() else path
    labels = np.asarray(load_array(file, kind="iu", ndim=1), dtype=np.int64)
    if labels.min() < -1:
        raise InputError(f"{file}: label {labels.min()} in row {labels.argmin()}; labels are -1 (unknown) or >= 0")
    if rows is not None and len(labels) != rows:
        raise InputError(f"{file}: {len(labels)} labels for {rows} rows; they must match one to one")
    return labels


def load_keys(path: Path, rows: int | None = None) -> list[str]:
    """Reads one key a line.

    Raises:
        InputError: Missing file, not UTF-8, or another number of lines than `rows`.
    """
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    keys = text.split("\n") if text else []
    if rows is not None and len(keys) != rows:
        raise InputError(f"{path}: {len(keys)} keys for {rows} rows; they must match one to one")
    return keys


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of text."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON through a temporary file, so that the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: Missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Writes a flat configuration."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a configuration.

    Raises:
        InputError: Missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; expected keys and values")
    return content
