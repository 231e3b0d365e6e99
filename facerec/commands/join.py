"""The command ``join``: several recognisers' embeddings of the same faces as one embedding set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable, load_embeddings, save_names
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.same_recogniser import noted_recogniser
from facerec.pipeline.stage import stage
from facerec.recognisers.committee import agreed, say_if_unlike, write_side_by_side


@stage(
    "facerec join",
    found=told("{faces:face}, {skipped:,} of them unreadable (skipped.csv); {dimension:dimension}"),
    then="python -m clustering cluster --backend hilander --embeddings {out} --out CLUSTERS",
)
def concatenate(
    embeddings: list[Path],
    out: Path,
    dtype: Literal["float32", "float16"] = "float32",
    unreadable: Unreadable = "refuse",
) -> dict[str, Any]:
    """Puts several recognisers' embeddings of the same faces side by side, as one recogniser's.

    The cosine of two faces is then the mean of the recognisers' cosines (a committee, as in Zhan et al., ECCV 2018).
    The mean averages out errors that only one of them makes. All count the same, whatever their dimensions. A face
    without an embedding in one of the sets gets a zero row and a line in ``skipped.csv``.

    Args:
        embeddings: Two or more embedding sets; row i is the same face in all. Keys are compared where sets have some.
        out: Folder for the embedding set.
        dtype: Type of the numbers that are written: float32, or float16, which takes half the disk.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    if len(embeddings) < 2:
        raise InputError(f"{len(embeddings)} embedding set to join; give two or more, as '[A, B]'")
    scratch = [out / f"unit_{number}.npy" for number in range(len(embeddings))]
    first = load_embeddings(embeddings[0], scratch[0], unreadable=unreadable)
    sets = [first]
    for path, file in zip(embeddings[1:], scratch[1:], strict=True):
        sets.append(load_embeddings(path, file, len(first), unreadable))
    keys, labels = agreed(sets, "keys"), agreed(sets, "labels")
    say_if_unlike(sets)
    lacking = write_side_by_side(sets, out / "embeddings.npy", np.dtype(dtype))
    if len(lacking) == len(first):
        raise InputError(f"none of the {len(first)} faces has an embedding in all of {', '.join(map(str, embeddings))}")
    for file in scratch:
        file.unlink(missing_ok=True)
    save_names(out, keys, labels)
    skipped = [(row, keys[row] if keys else "", f"no embedding in {embeddings[number]}") for row, number in lacking]
    write_table(out / "skipped.csv", ("row", "key", "reason"), skipped)
    dimension = sum(one.embeddings.shape[1] for one in sets)
    return {"faces": len(first), "skipped": len(skipped), "dimension": dimension, **noted_recogniser(embeddings)}
