"""The pictures of an export: which ones, from where, in which form."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clustering.people.folders import check_sources, folders_of, link, photograph_places, places, put
from clustering.people.tables import Export
from facerec.pipeline.face_lists import LISTS
from facerec.pipeline.files import InputError, first_line, read_table, refuse_inside, write_lines

Form = Literal["folders", "symlinks", "csv", "identities"]
ALIGNED = "faces.csv"
"""The table that align writes: which photograph each crop is from."""


@dataclass(frozen=True)
class Pictures:
    """Which pictures go where.

    Attributes:
        faces: The pictures that were embedded: their folder, or a list (.tsv, .csv, .lst) of them.
        as_: With folders, each person's folder has a copy of each picture. With symlinks, it has links. With csv, only
            tables are written. With identities, faces.tsv lists the pictures and their people, to train on.
        photographs: Folder or list of the photographs that align made the faces of. People's folders then hold whole
            photographs, each in the folders of all who are on it.
    """

    faces: Path | None = None
    as_: Form = "folders"
    photographs: Path | None = None

    @property
    def root(self) -> Path:
        """The folder that keys are relative to."""
        assert self.faces is not None
        return _folder_of(self.faces)

    def check(self, out: Path) -> None:
        """Refuses options that do not go together, and copies among the pictures that they are of.

        Args:
            out: Where the export is made.

        Raises:
            InputError: No faces, photographs in a form without pictures, or an export among its own pictures.
        """
        if self.faces is None and (self.as_ != "csv" or self.photographs is not None):
            raise InputError(f"--as {self.as_} without --faces; say where the pictures are")
        if self.photographs is not None and self.as_ not in ("folders", "symlinks"):
            raise InputError(f"--photographs with --as {self.as_}; photographs go into folders or symlinks")
        if self.photographs is not None:
            refuse_inside(out, "--photographs", self.photographs, "copies would count as further photographs")
        elif self.faces is not None and self.as_ in ("folders", "symlinks"):
            refuse_inside(out, "--faces", self.faces, "copies would count as further faces")


def _folder_of(pictures: Path) -> Path:
    """The folder that the keys of some pictures are relative to: of a list that in which it is."""
    return pictures.parent if pictures.suffix.lower() in LISTS and pictures.is_file() else pictures


def photographs_of(pictures: Pictures, keys: Sequence[str]) -> list[str] | None:
    """The photograph that each face is from, nothing for a face that align does not know; None if it is not known.

    Raises:
        InputError: Whole photographs are wanted, and the faces' folder has no table of align.
    """
    file = None if pictures.faces is None else pictures.root / ALIGNED
    if file is None or not _is_of_align(file):
        if pictures.photographs is not None:
            raise InputError(f"{file}: no table of align; --photographs needs --faces that align made of them")
        return None
    origin = {row["crop"]: row["photograph"] for row in read_table(file, ("crop", "photograph"))}
    return [origin.get(key, "") for key in keys]


def _is_of_align(file: Path) -> bool:
    """Whether a table is that of align, not somebody's list of faces of that name."""
    return file.is_file() and {"crop", "photograph"} <= set(first_line(file).rstrip("\r\n").split(","))


def put_pictures(export: Export, pictures: Pictures, out: Path) -> tuple[list[str], int]:
    """Puts the pictures into `out`.

    Returns:
        The place of each face's picture below `out`, nothing where there is none; and the number of faces whose
        picture is not there.
    """
    whole = pictures.photographs is not None
    folders = folders_of(export)
    targets, sources = photograph_places(export) if whole else (places(folders, export.keys), export.keys)
    if pictures.as_ == "csv":
        return targets, 0
    root = _folder_of(pictures.photographs) if pictures.photographs else pictures.root
    if pictures.as_ == "identities":
        check_sources(root, sources)
        _write_identities(export, root, out)
        return [""] * len(targets), 0
    there = put(root, sources, out, targets, link if pictures.as_ == "symlinks" else shutil.copy2)
    return [target if found else "" for target, found in zip(targets, there.tolist(), strict=True)], int((~there).sum())


def _write_identities(export: Export, root: Path, out: Path) -> None:
    """Writes faces.tsv: the pictures of people, less the doubtful ones, and whose each is."""
    up = os.path.relpath(root.resolve(), out.resolve())
    rows = zip(export.keys, export.people.owners(), export.doubtful.tolist(), strict=True)
    lines = [f"{os.path.normpath(f'{up}/{key}')}\t{name}" for key, name, doubt in rows if name and not doubt]
    if not lines:
        raise InputError("no face of a person that is not doubtful; lower --min-confidence or --min-size")
    write_lines(out / "faces.tsv", lines)
