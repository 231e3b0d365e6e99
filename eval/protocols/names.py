"""Which embedding is which face: by name, else by the name without the suffix of a picture, else by the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError

SUFFIX = r"(?i)\.(jpe?g|jpe|jfif|png|bmp|webp|tiff?|gif)$"
FOLDERS = r"^.*/"


def find_rows(names: Any, keys: list[str], source: Path, by_file: bool = False) -> np.ndarray:
    """The row of each name among the keys, int64 [n]; -1 where there is none.

    A leading ``img/`` on either side does not matter. Names that are no key match without suffix: crops of
    ``photo.jpg`` are often ``photo.png``. Such a match is none if another name is that key: ``photo.png`` is then
    another picture.

    Args:
        names: Names of the faces, a list or pyarrow array [n].
        keys: Keys of the embeddings.
        source: Where these come from, for messages.
        by_file: Whether names that match in neither way match by their file's name alone.

    Raises:
        InputError: A name that is several keys, or several names that are one key without suffix.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted, known = (pc.replace_substring_regex(_texts(side), "^img/", "") for side in (names, keys))
    _refuse_twice(known, known, keys, source)
    rows, spelled = _indices(wanted, known), wanted
    for pattern in (SUFFIX, FOLDERS) if by_file else (SUFFIX,):
        missing = np.flatnonzero(rows < 0)
        if not missing.size:
            break
        wanted, known = (pc.replace_substring_regex(side, pattern, "") for side in (wanted, known))
        some = wanted.take(pa.array(missing))
        _refuse_twice(known, some, keys, source)
        taken, found = np.unique(rows[rows >= 0]), _indices(some, known)
        found[np.isin(found, taken)] = -1
        _refuse_shared(found, spelled.take(pa.array(missing)), keys, source)
        rows[missing] = found
    return rows


def _texts(names: Any) -> Any:
    """Bytes, as names of files need not be UTF-8."""
    import pyarrow as pa

    if isinstance(names, pa.Array | pa.ChunkedArray):
        return names.cast(pa.binary())
    return pa.array([name.encode("utf-8", "surrogateescape") for name in names], pa.binary())


def _indices(wanted: Any, known: Any) -> np.ndarray:
    import pyarrow.compute as pc

    found = pc.index_in(wanted, value_set=known)
    return np.asarray(pc.fill_null(found, -1), dtype=np.int64)


def _refuse_twice(known: Any, wanted: Any, keys: list[str], source: Path) -> None:
    """Refuses a wanted name that is known several times, and says which keys it may be."""
    import pyarrow.compute as pc

    if len(known.unique()) == len(known):
        return
    counts = pc.value_counts(known)
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    twice = several.filter(pc.is_in(several, value_set=wanted))
    if len(twice):
        name = twice[0].as_py().decode("utf-8", "surrogateescape")
        one, other = np.flatnonzero(np.asarray(pc.equal(known, twice[0])))[:2]
        which = f" ({keys[one]!r} and {keys[other]!r})" if {keys[one], keys[other]} != {name} else ""
        raise InputError(f"{source}: key {name!r} occurs twice{which}; faces match by key")


def _refuse_shared(rows: np.ndarray, names: Any, keys: list[str], source: Path) -> None:
    """Refuses two names that have the row of one key."""
    named: dict[int, bytes] = {}
    for row, name in zip(rows.tolist(), names.to_pylist(), strict=True):
        if row >= 0 and named.setdefault(row, name) != name:
            one, other = (text.decode("utf-8", "surrogateescape") for text in (named[row], name))
            raise InputError(
                f"{source}: faces {one!r} and {other!r} would both be key {keys[row]!r}; give each its own key"
            )
