"""Face stores in tar shards with an index."""

from __future__ import annotations

import logging
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, check_file, readable
from facerec.pipeline.progress import progress
from facerec.stores.pictures import suffix_of
from facerec.stores.store import INDEX, PROBED, SUFFIXES, Store, reason_of

logger = logging.getLogger(__name__)

COLUMNS = ("shard", "offset", "length", "key", "identity")
COPIES = "faces.bin"
TYPES = (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string())


class ShardStore(Store):
    """Faces in uncompressed tar files or in other large files, found by offset.

    Args:
        path: Where it was opened.
        keys: The name of each face, unique.
        identities: The name of each face's identity, None where unknown.
        shards: The files.
        shard: int [n], the number of each face's file.
        offset: int64 [n], where its bytes begin.
        length: int64 [n], how many there are.
    """

    def __init__(
        self, path: Path, keys: Sequence[str], identities: Sequence[str | None],
        shards: Sequence[str], shard: np.ndarray, offset: np.ndarray, length: np.ndarray,
    ):  # fmt: skip
        super().__init__(path, keys, identities)
        self.shards, self.shard, self.offset, self.length = list(shards), shard, offset, length

    def encoded(self, row: int) -> bytes:
        """The member's bytes."""
        with open(self.shards[self.shard[row]], "rb") as file:  # noqa: PTH123 (called per face)
            file.seek(self.offset[row])
            return file.read(self.length[row])

    def is_there(self) -> bool:
        """Whether the first shards are there."""
        return all(map(os.path.exists, self.shards[:PROBED]))

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes an index into the same shards."""
        rows = np.fromiter(rows, np.int64)
        names = [os.path.relpath(Path(shard).resolve(), out.resolve()) for shard in self.shards]
        identities = [self.identities[row] if named else None for row in rows]
        columns = (
            [names[self.shard[row]] for row in rows], self.offset[rows], self.length[rows],
            [self.keys[row] for row in rows], identities,
        )  # fmt: skip
        write_index(out / INDEX, columns)


def write_index(
    path: Path, columns: Sequence[Sequence[object] | np.ndarray], metadata: Mapping[bytes, bytes] | None = None
) -> None:
    """Writes an index of tar shards: `COLUMNS`, each [n]; shards as paths relative to the index's folder."""
    arrays = [pa.array(column, kind) for column, kind in zip(columns, TYPES, strict=True)]
    pq.write_table(pa.table(arrays, names=list(COLUMNS), metadata=metadata and dict(metadata)), path)


def write_copies(store: Store, rows: Iterable[int], out: Path, named: bool) -> None:
    """Writes some faces' files one behind the other into ``faces.bin``, and an index of them.

    Args:
        store: Of faces that no index can refer to.
        rows: Which.
        out: An existing folder.
        named: Whether the identities go along.
    """
    chosen, offsets, lengths, lost = list(rows), [], [], []
    with (out / COPIES).open("wb") as file:
        for row in chosen:
            offsets.append(file.tell())
            try:
                encoded = store.encoded(row)
            except (OSError, ValueError) as error:
                store.refuse_if_gone()
                encoded = b""  # is no face there, either
                lost.append(f"{store.keys[row]}: {reason_of(error)}")
            lengths.append(file.write(encoded))
    if lost:
        logger.warning(
            "%s: %s of the part %s cannot be read, such as %s; what is copied has no pictures of them",
            store.path, counted(len(lost), "face"), out.name, lost[0],
        )  # fmt: skip
    identities = [store.identities[row] if named else None for row in chosen]
    columns = ([COPIES] * len(chosen), offsets, lengths, [store.keys[row] for row in chosen], identities)
    write_index(out / INDEX, columns)


def write_shards(source: Store, out: Path, limit: int) -> Iterator[tuple[str, int, int]]:
    """Writes shards; yields for each face its shard, the offset of its bytes, and their number."""
    labels = source.labels
    shards = 0
    tar = None
    try:
        for row in progress(range(len(source)), "pack", "faces"):
            if tar is None or tar.offset >= limit:
                if tar is not None:
                    tar.close()
                name = f"faces-{shards:06d}.tar"
                tar = tarfile.open(out / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed below)
                shards += 1
            try:
                encoded = source.encoded(row)
            except OSError as error:
                raise InputError(f"{source.path}: {source.keys[row]} cannot be read ({reason_of(error)})") from None
            suffix = Path(source.keys[row]).suffix.lower()
            suffix = suffix if suffix in SUFFIXES else suffix_of(encoded)
            yield name, _add(tar, f"{row:09d}{suffix}", encoded), len(encoded)
            if labels is not None and labels[row] >= 0:
                _add(tar, f"{row:09d}.cls", b"%d" % labels[row])
    finally:
        if tar is not None:
            tar.close()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Appends a member and returns the offset of its content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    offset = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(member, BytesIO(content))
    return offset


def open_shards(path: Path, index: Path) -> ShardStore:
    """Opens tar shards by their index.

    Args:
        path: The folder.
        index: The index in it.

    Raises:
        InputError: An unreadable index, or a shard that is missing or cut short.
    """
    table = _read_index(index)
    shards = table["shard"].combine_chunks().dictionary_encode()
    files = [os.path.normpath(path / name) for name in shards.dictionary.to_pylist()]
    shard, offset, length = shards.indices.to_numpy(), table["offset"].to_numpy(), table["length"].to_numpy()
    store = ShardStore(path, table["key"].to_pylist(), table["identity"].to_pylist(), files, shard, offset, length)
    for number, file in enumerate(files):
        rows = shard == number
        _check_shard(index, Path(file), int((offset[rows] + length[rows]).max()))
    return store


def _read_index(path: Path) -> pa.Table:
    """Reads an index of tar shards.

    Raises:
        InputError: Not readable, or columns that are missing or empty.
    """
    check_file(path)
    with readable(path, "an index", "pack the faces again"):
        table = pq.read_table(path)
        table.validate(full=True)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; an index has {', '.join(COLUMNS)}")
    wrong = [name for name, kind in zip(COLUMNS, TYPES, strict=True) if not _fits(table[name].type, kind)]
    if wrong:
        raise InputError(f"{path}: {wrong[0]} is {table[wrong[0]].type}; pack the faces again")
    if any(table[name].null_count for name in COLUMNS[:4]):
        raise InputError(f"{path}: empty values in {', '.join(COLUMNS[:4])}; pack the faces again")
    for name in ("offset", "length"):
        if len(table) and not 0 <= pc.min(table[name]).as_py() <= pc.max(table[name]).as_py() < 1 << 60:
            raise InputError(f"{path}: {name} below 0 or beyond any file; pack the faces again")
    return table


def _fits(there: pa.DataType, wanted: pa.DataType) -> bool:
    if wanted == pa.int64():
        return pa.types.is_integer(there)
    return pa.types.is_null(there) or pa.types.is_string(there) or pa.types.is_large_string(there)


def _check_shard(index: Path, shard: Path, end: int) -> None:
    if not shard.is_file():
        raise InputError(f"{shard}: no such shard, but {index} refers to it; put it back, or pack the faces again")
    size = shard.stat().st_size
    if size < end:
        raise InputError(f"{shard}: {size} bytes, but the index refers to {end}; it was cut short, copy it again")
