"""``FILE:NAME``: one array, data set or column of a file that holds several."""

from __future__ import annotations

from pathlib import Path


def split_part(path: Path) -> tuple[Path, str | None]:
    """The file, and the name of the part that is meant.

    Args:
        path: Such as ``faces.npz:features``, ``faces.h5:train/features`` or ``faces.csv:identity``. A path that exists
            is a whole file, also with a colon in its name.

    Returns:
        The file, and None where no part is named, or no file has the name before a colon.
    """
    text = str(path)
    if ":" not in text or path.exists():
        return path, None
    for place in [place for place, letter in enumerate(text) if letter == ":"]:
        if text[place + 1 :] and Path(text[:place]).is_file():
            return Path(text[:place]), text[place + 1 :]
    return path, None
