"""People in folders: where each picture goes, copies and links."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from clustering.people.tables import Export
from facerec.pipeline.files import InputError
from facerec.pipeline.keys import parts_inside
from facerec.pipeline.progress import progress
from facerec.pipeline.values import MOST_NAME

SURE, DOUBTFUL, NOBODY = "people", "doubtful", "nobody"
INSTEAD = "of records and shards --as csv, then python -m facerec pictures"
PROBED = 100
"""Pictures of which one at least must be there before any is copied."""


def folders_of(export: Export) -> list[str]:
    """The folder of each face: ``people/NAME``, ``doubtful/NAME`` or ``nobody``."""
    owners = export.people.owners()
    return [
        f"{DOUBTFUL if doubt else SURE}/{name}" if name else NOBODY
        for name, doubt in zip(owners, export.doubtful.tolist(), strict=True)
    ]


def places(folders: Sequence[str], sources: Sequence[str]) -> list[str]:
    """A name of its own for each picture in its folder.

    It is the file's name. Where two in a folder have the same, it is the whole path with ``_`` for ``/``. Where that
    does not tell them apart, the row stands before it: before all paths of a folder where a file is called so already.
    Of a path too long for a name, the end is taken.

    Args:
        folders: The folder of each picture.
        sources: The path of each picture.
    """
    names = [source.rpartition("/")[2] for source in sources]
    whole = ["_".join(parts_inside(source)) for source in sources]
    paths = [_end_of(path, MOST_NAME) for path in whole]
    rows = [f"{row}_{_end_of(path, MOST_NAME - len(str(row)) - 1)}" for row, path in enumerate(whole)]
    for better in (paths, rows):
        counts = Counter(zip(folders, names, strict=True))
        names = [
            name if counts[folder, name] == 1 else other
            for folder, name, other in zip(folders, names, better, strict=True)
        ]
    unclear = {place[0] for place, count in Counter(zip(folders, names, strict=True)).items() if count > 1}
    names = [row if folder in unclear else name for folder, name, row in zip(folders, names, rows, strict=True)]
    return [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)]


def _end_of(name: str, most: int) -> str:
    """The end of a name, of at most so many bytes on disk."""
    while (over := len(os.fsencode(name)) - most) > 0:
        name = name[-(-over // 4) :]  # a letter has four bytes at most
    return name


def photograph_places(export: Export) -> tuple[list[str], list[str]]:
    """Whole photographs in the folders of everybody on them.

    A photograph is in a person's ``people`` folder once if one of their faces on it is not doubtful.

    Returns:
        The place of each face's photograph; and the photographs, which stand in the faces' order.
    """
    assert export.photographs is not None
    owners = export.people.owners()
    pairs = list(zip(owners, export.photographs, strict=True))
    sure = {pair for pair, doubt in zip(pairs, export.doubtful.tolist(), strict=True) if not doubt}
    folders = [f"{SURE if pair in sure else DOUBTFUL}/{pair[0]}" if pair[0] else NOBODY for pair in pairs]
    targets = list(zip(folders, export.photographs, strict=True))
    found = list(dict.fromkeys(targets))
    place = dict(zip(found, places(*zip(*found, strict=True)), strict=True))
    return [place[target] for target in targets], export.photographs


def link(source: Path, target: Path) -> None:
    """Makes a relative link to a picture."""
    target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


def put(
    root: Path, sources: Sequence[str], out: Path, targets: Sequence[str], action: Callable[[Path, Path], object]
) -> np.ndarray:
    """Copies or links pictures.

    Args:
        root: The folder that the sources are relative to.
        sources: The path of each picture below `root`.
        out: An existing folder.
        targets: The place of each picture below `out`; one that occurs twice is made once.
        action: Copies or links one picture: `shutil.copy2` or `link`.

    Returns:
        Bool [n]: whether the source is there and may be read.

    Raises:
        InputError: None of the first `PROBED` pictures is there.
    """
    check_sources(root, sources)
    found, made = np.zeros(len(sources), bool), set()
    pairs = zip(sources, targets, strict=True)
    for row, (source, target) in enumerate(progress(pairs, "pictures", "faces", len(sources))):
        found[row] = (root / source).is_file() and os.access(root / source, os.R_OK)
        if found[row] and target not in made:
            made.add(target)
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            action(root / source, out / target)
    return found


def check_sources(root: Path, sources: Sequence[str]) -> None:
    """Refuses a folder that has none of the first `PROBED` of these files.

    Raises:
        InputError: It is no folder, or none of them is there.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no folder of pictures; give the folder or list that was embedded; {INSTEAD}")
    if not any((root / source).is_file() for source in sources[:PROBED]):
        raise InputError(
            f"{root}: has none of the first {min(PROBED, len(sources))} files, e.g. {sources[0][:80]}; {INSTEAD}"
        )
