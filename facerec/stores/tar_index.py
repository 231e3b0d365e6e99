"""Tar files without an index, as ``webdataset`` writes them: indexed on first use.

A sample is all members of one name up to its first dot. Of these a picture is a face, and ``.cls``, ``.txt`` or
``.json`` says whose. Where a sample has several of these, a picture has the one whose name differs from its own in the
last suffix alone: ``m.01.jpg`` and ``m.02.jpg`` may have a ``.cls`` each. As in a folder, a link to another picture is
a face, too, and hidden files and folders are left out. The index is kept beside the tar files, where that is allowed,
and made again when they change.
"""

from __future__ import annotations

import json
import logging
import posixpath
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from facerec.pipeline.counts import counted
from facerec.pipeline.entries import LABELS
from facerec.pipeline.face_lists import UNKNOWN
from facerec.pipeline.files import readable, whole_file
from facerec.pipeline.fingerprint import made_by_a_system
from facerec.pipeline.keys import parts_inside
from facerec.pipeline.progress import progress
from facerec.stores.folder import say_hidden
from facerec.stores.shards import ShardStore, open_shards, write_index
from facerec.stores.store import SUFFIXES, identity_of, left_by_macos, padded

logger = logging.getLogger(__name__)

KEPT = "index_of_tars.parquet"
"""The index that is kept beside tar files. Fingerprints of inputs leave it out, as reading an input makes it."""

STAMP, VERSION = b"tar_files", 2
"""The field of the index's schema that has names, sizes and times of the tar files, and how they are read; and the
number of the rules by which they are read."""

SAID_BY = ("cls", "json", "txt")
"""Suffixes of the members that say whose face a sample is. Of several the first of these counts, wherever it stands."""

MOST_TEXT = 1 << 16
"""Most bytes of such a member."""

MOST_BEHIND = 1 << 20
"""Bytes behind the members that are looked at; usually there are up to 10 KiB of zeros."""


def open_tars(path: Path, files: Sequence[Path]) -> ShardStore:
    """Opens tar files without an index.

    Args:
        path: Where the store was opened, for messages: the files' folder, or the one file.
        files: The tar files, in order.

    Raises:
        InputError: A compressed or damaged file.
    """
    kept, stamp = path / KEPT, _stamp(files)
    if path.is_dir() and kept.is_file() and _stamp_in(kept) == stamp:
        return open_shards(path, kept)
    names, offsets, lengths, keys, identities = _indexed(files)
    logger.info("%s: %s found in %s", path, counted(len(keys), "face"), counted(len(files), "tar file"))
    if path.is_dir() and keys:
        shards = [files[name].name for name in names]
        _keep(kept, (shards, np.array(offsets), np.array(lengths), keys, identities), stamp)
    return ShardStore(
        path, keys, identities, [str(file) for file in files], np.array(names, np.int64),
        np.array(offsets, np.int64), np.array(lengths, np.int64),
    )  # fmt: skip


def _stamp(files: Sequence[Path]) -> bytes:
    states = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return json.dumps([VERSION, SAID_BY, UNKNOWN, *states]).encode()


def _stamp_in(kept: Path) -> bytes | None:
    try:
        return (pq.read_schema(kept).metadata or {}).get(STAMP)
    except Exception:  # a damaged one is made again
        return None


def _keep(kept: Path, columns: Sequence[Any], stamp: bytes) -> None:
    """Writes the index, whole or not at all; without it the next command reads the tar files again."""
    try:
        with whole_file(kept, shared=True) as temporary:
            write_index(temporary, columns, {STAMP: stamp})
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "names that are not UTF-8"
        logger.info("%s: cannot be written (%s); the tar files are read by each command", kept, reason)


def _indexed(files: Sequence[Path]) -> tuple[list[int], list[int], list[int], list[str], list[str | None]]:
    """File, offset, length, key and identity of each face."""
    numbers: list[int] = []
    faces: list[_Face] = []
    people: list[str | None] = []
    hidden: list[str] = []
    telling = False
    for number, file in enumerate(progress(files, "index", "tar files")):
        with readable(file, "a tar file", "unpack it if it is compressed"):
            found, said = _faces_of(file, hidden)
        numbers += [number] * len(found)
        faces += found
        telling |= bool(said)
        people += [said.get(face.stem, said.get(face.sample)) for face in found]
    say_hidden(files[0].parent, hidden)
    if telling and not any(people):
        logger.warning(
            "%s: faces without identities, though files are beside them; an identity is a .cls or .txt file, or label, "
            "identity, person ... in a .json file", files[0].parent,
        )  # fmt: skip
    keys = _unique([face.key for face in faces], numbers, files)
    return numbers, [face.offset for face in faces], [face.length for face in faces], keys, padded(people)


class _Face(NamedTuple):
    """A picture in a tar file: where its bytes are, its name, without its suffix, and the sample that it belongs to."""

    offset: int
    length: int
    key: str
    stem: str
    sample: str


def _faces_of(file: Path, hidden: list[str]) -> tuple[list[_Face], dict[str, str | None]]:
    """The pictures of a tar file, and whose faces its samples, and names without their last suffix, say they are.

    Args:
        file: The tar file.
        hidden: Names of hidden pictures, which are left out; filled here.
    """
    faces: list[_Face] = []
    links: dict[int, str] = {}  # of a face that is a link the picture that it leads to
    said: dict[str, str | None] = {}
    ranks: dict[str, int] = {}  # of each name in `said` the place of its suffix in `SAID_BY`
    with tarfile.open(file, "r:") as tar:
        while member := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # else it keeps all it has seen
            name, leads = member.name, member.issym() or member.islnk()
            sample, stem, suffix = _split(name)
            if not (member.isreg() or leads) or left_by_macos(name):
                continue
            if name.lower().endswith(SUFFIXES) and any(map(made_by_a_system, parts_inside(name))):
                hidden.append(name)
            elif name.lower().endswith(SUFFIXES):
                if leads:  # of a hard link from the top, else from the link's folder
                    links[len(faces)] = posixpath.join(posixpath.dirname(name) * member.issym(), member.linkname)
                faces.append(_Face(member.offset_data, member.size, name.removeprefix("./"), stem, sample))
            elif member.isreg() and suffix in SAID_BY and member.size <= MOST_TEXT:
                content = tar.extractfile(member)
                whose, rank = _identity(content.read() if content else b"", suffix), SAID_BY.index(suffix)
                for each in (stem, sample):
                    if rank < ranks.get(each, len(SAID_BY)):
                        said[each], ranks[each] = whose, rank
    _say_if_cut(file, tar.offset)
    places = {posixpath.normpath(face.key): face[:2] for face in faces} if links else {}
    for row, target in links.items():
        offset, length = places.get(posixpath.normpath(target), (0, 0))  # a broken link is an empty picture
        faces[row] = faces[row]._replace(offset=offset, length=length)
    return faces, said


def _say_if_cut(file: Path, end: int) -> None:
    """Warns of a tar file without the zeros at its end, or with other bytes behind these.

    Args:
        file: The tar file.
        end: Where its members end.
    """
    with file.open("rb") as opened:
        opened.seek(end)
        behind = opened.read(MOST_BEHIND)
    if not behind:
        logger.warning("%s: has no end, so it may be cut short; if faces are missing, copy it again", file)
    elif behind.strip(b"\0"):
        logger.warning(
            "%s: what stands behind its end, at byte %d, is not read; if it is several tar files in one, separate them",
            file, end,
        )  # fmt: skip


def _split(name: str) -> tuple[str, str, str]:
    """A member's sample and its name without its last suffix, both with its folder; and that suffix."""
    folder, slash, last = name.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    return folder + slash + last.partition(".")[0], folder + slash + stem, suffix.lower()


def _identity(content: bytes, suffix: str) -> str | None:
    """Whose face a sample is, as text; None where it does not say."""
    text = " ".join(content.decode("utf-8", "replace").split())
    if suffix != "json":
        return identity_of(text)
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = [about[name] for name in LABELS if name in about] if isinstance(about, dict) else [about]
    name = identity_of(found[0]) if found else None
    return name and " ".join(name.split())


def _unique(keys: list[str], numbers: list[int], files: Sequence[Path]) -> list[str]:
    """Keys, with the tar file's name in front where two tar files have the same."""
    if max(Counter(keys).values(), default=1) == 1:
        return keys
    return [f"{files[number].stem}/{key}" for key, number in zip(keys, numbers, strict=True)]
