"""Faces of a store as files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facerec.pipeline.files import InputError, read_table
from facerec.pipeline.keys import parts_inside
from facerec.pipeline.progress import progress
from facerec.pipeline.values import refuse_repeated
from facerec.stores.store import SUFFIXES, Store, reason_of

MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"RIFF": ".webp", b"GIF8": ".gif"}
OTHER = ".tif"


def read_places(table: Path | None, store: Store) -> dict[str, str]:
    """Where the picture of each face is to be, by key.

    Args:
        table: CSV with the columns ``key`` and ``file``; a face without a file is left out. None for all faces under
            their keys.
        store: Whose faces.

    Raises:
        InputError: Not such a table; a key twice, or one that the store has not; a place that leads elsewhere, or that
            two share.
    """
    if table is None:
        places = {key: "/".join(parts_inside(key)) for key in store.keys}
    else:
        places = _places_of_table(table, store)
    faces = {place: key for key, place in places.items()}
    if shared := next((key for key, place in places.items() if faces[place] != key), None):
        raise InputError(
            f"{table or store.path}: two faces have one place, {places[shared][:80]}: {shared[:80]!r} and "
            f"{faces[places[shared]][:80]!r}; give each its own, in a --table with the columns key and file"
        )
    return places


def _places_of_table(table: Path, store: Store) -> dict[str, str]:
    placed = [row for row in read_table(table, ("key", "file")) if row["file"]]
    refuse_repeated(table, [row["key"] for row in placed])
    places = {row["key"]: row["file"] for row in placed}
    if not places:
        raise InputError(f"{table}: names no place for any face; give faces.csv of clustering export --as csv")
    if strange := sorted(set(places) - set(store.keys)):
        raise InputError(f"{table}: {strange[0][:80]!r} is no face of {store.path}, nor are {len(strange) - 1} others")
    for place in places.values():
        if place.startswith("/") or ".." in place.split("/"):
            raise InputError(f"{table}: the place {place[:80]!r} leads out of the folder")
    return places


def write_pictures(store: Store, places: Mapping[str, str], out: Path) -> tuple[int, list[tuple[str, str]]]:
    """Writes image files as the store has them.

    Args:
        store: The faces.
        places: The path of each face's file below `out`, by key; faces without one are left out.
        out: An existing folder.

    Returns:
        How many were written; and key and reason of each that could not be read.

    Raises:
        InputError: None could be read, or not any more; or two have one place, as ``a`` with a suffix and ``a.png``.
    """
    written, skipped = 0, []
    for row, key in enumerate(progress(store.keys, "pictures", "faces")):
        if key not in places:
            continue
        try:
            content = store.encoded(row)
        except (OSError, ValueError) as error:
            store.refuse_if_gone()
            skipped.append((key, reason_of(error)))
            continue
        place = places[key] if places[key].lower().endswith(SUFFIXES) else places[key] + suffix_of(content)
        target = out / place
        if target.exists():
            raise InputError(
                f"{store.path}: two faces have one place, {place[:80]}, and {key[:80]!r} is the second; give each its "
                "own, in a --table with the columns key and file"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written += 1
    if not written:
        raise InputError(f"{store.path}: none of the {len(places)} faces can be read, e.g. {skipped[0][0][:80]}")
    return written, skipped


def suffix_of(content: bytes) -> str:
    """The suffix of an image file, by how it begins."""
    return next((suffix for magic, suffix in MAGIC.items() if content.startswith(magic)), OTHER)
