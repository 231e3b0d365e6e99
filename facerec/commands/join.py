"""Several recognisers' embeddings of the same faces as one embedding set: a committee."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from facerec.pipeline.embeddings import EmbeddingSet, load_embeddings, readable_rows
from facerec.pipeline.files import BLOCK_ROWS, InputError, write_lines, write_table
from facerec.pipeline.stage import stage


@stage("facerec join")
def concatenate(embeddings: list[Path], out: Path, dtype: Literal["float32", "float16"] = "float32") -> dict[str, int]:
    """Puts several recognisers' embeddings of the same faces side by side, as one recogniser's.

    The cosine of two faces is then the mean of the recognisers' cosines, in which what one of them takes for alike by
    chance counts less (a committee, as in Zhan et al., ECCV 2018). All count the same, whatever their dimensions. A
    face that one of them has no embedding of gets a zero row and a line in ``skipped.csv``.

    Args:
        embeddings: Two or more embedding sets; row i is the same face in all.
        out: Folder for the embedding set.
        dtype: Of what is written: float32, or float16, which takes half the disk.
    """
    if len(embeddings) < 2:
        raise InputError(f"{len(embeddings)} embedding set to join; give two or more, as '[A, B]'")
    scratch = [out / f"unit_{number}.npy" for number in range(len(embeddings))]
    first = load_embeddings(embeddings[0], scratch[0])
    sets = [first]
    sets += [load_embeddings(path, file, len(first)) for path, file in zip(embeddings[1:], scratch[1:], strict=True)]
    keys, labels = _agreed(sets, "keys"), _agreed(sets, "labels")
    dimension = sum(one.embeddings.shape[1] for one in sets)
    joined = np.lib.format.open_memmap(out / "embeddings.npy", "w+", np.dtype(dtype), (len(first), dimension))
    skipped: list[tuple[int, str, str]] = []
    for start in tqdm(range(0, len(first), BLOCK_ROWS), desc="join", unit=" blocks", disable=None):
        rows = slice(start, start + BLOCK_ROWS)
        parts = [one.embeddings[rows] for one in sets]
        there = np.stack([readable_rows(part) for part in parts])
        whole = np.asarray(there.all(axis=0))
        joined[rows] = np.hstack(parts) * (whole[:, None] / np.sqrt(len(sets))).astype(np.float32)
        for row in np.flatnonzero(~whole):
            lacking = embeddings[int(there[:, row].argmin())]
            skipped.append((start + int(row), keys[start + row] if keys else "", f"no embedding in {lacking}"))
    joined.flush()
    if len(skipped) == len(first):
        raise InputError(f"none of the {len(first)} faces has an embedding in all of {', '.join(map(str, embeddings))}")
    for file in scratch:
        file.unlink(missing_ok=True)
    if keys is not None:
        write_lines(out / "keys.txt", keys)
    if labels is not None:
        np.save(out / "labels.npy", labels)
    write_table(out / "skipped.csv", ("row", "key", "reason"), skipped)
    return {"faces": len(first), "skipped": len(skipped), "dimension": dimension}


def _agreed(sets: list[EmbeddingSet], what: str) -> Any:
    """The keys, or the labels, that all sets that have some have in common; None if none has.

    Raises:
        InputError: Two sets differ in a row.
    """
    having = [one for one in sets if getattr(one, what) is not None]
    if not having:
        return None
    found = getattr(having[0], what)
    for one in having[1:]:
        other = getattr(one, what)
        if not (np.array_equal(other, found) if isinstance(other, np.ndarray) else other == found):
            row = next(row for row, pair in enumerate(zip(found, other, strict=True)) if pair[0] != pair[1])
            raise InputError(
                f"{one.path}: {what} {other[row]} in row {row}, {found[row]} in {having[0].path}; "
                "only embeddings of the same faces in the same order can be joined"
            )
    return found
