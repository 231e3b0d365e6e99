"""Faces on disk behind one interface: row i is the same face everywhere.

A store is a folder of images (identity = the folder an image lies in; images directly in the store have none), a list
(``.tsv``: path, or path and identity; a folder with ``faces.tsv`` is that list), tar shards with ``index.parquet``,
insightface's ``train.rec`` with ``train.idx`` (`facerec.recordio`), or ``stores.txt``, several of these as one
(`facerec.union`).
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from facerec.artifacts import InputError, write_lines
from facerec.stages import stage

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LIST, INDEX, RECORDS, STORES = "faces.tsv", "index.parquet", "train.rec", "stores.txt"
COLUMNS = ("shard", "offset", "length", "key", "identity")
PROBED_FACES = 100
PNG_START, PNG_END = b"\x89PNG", b"IEND"

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class UnreadableFace(Exception):  # noqa: N818 (it says what the face is)
    """A face that cannot be read or decoded.

    Attributes:
        key: Which one.
        reason: Why.
    """

    def __init__(self, key: str, reason: str):
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class Store:
    """Faces by row. Picklable, so that loader workers may hold one.

    Attributes:
        path: Where it was opened.
        keys: The name of each face, unique.
        identities: The name of each face's identity, None where unknown.
    """

    def __init__(self, path: Path, keys: Sequence[str], identities: Sequence[str | None]):
        self.path, self.keys, self.identities = path, list(keys), list(identities)
        if not self.keys:
            raise InputError(
                f"{path}: no faces; a store holds {', '.join(SUFFIXES)} images, {LIST}, {INDEX}, {RECORDS} or {STORES}"
            )
        if len(set(self.keys)) != len(self.keys):
            raise InputError(f"{path}: {_repeated(self.keys)!r} stands there more than once; keys must be unique")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def labels(self) -> np.ndarray | None:
        """Int64 [n], identities numbered by sorted name, -1 where unknown; None if no face has an identity."""
        names = sorted({name for name in self.identities if name is not None})
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.fromiter((-1 if x is None else numbers[x] for x in self.identities), np.int64, len(self))
        return labels if names else None

    def encoded(self, row: int) -> bytes:
        """The image file of a face.

        Raises:
            OSError: It cannot be read.
        """
        raise NotImplementedError

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes the store of some rows, in their order, into a folder, referring to this one's files.

        Args:
            rows: Which.
            out: An existing folder.
            named: Whether the identities go along.
        """
        raise NotImplementedError

    def read(self, row: int) -> np.ndarray:
        """A face as uint8 RGB [height, width, 3].

        Raises:
            UnreadableFace: No such file, or not an image, or a damaged one.
        """
        key = self.keys[row]
        try:
            return decode(self.encoded(row))
        except (OSError, ValueError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise UnreadableFace(key, " ".join(reason.split())) from None


class FileStore(Store):
    """Every face a file."""

    def __init__(self, path: Path, root: Path, keys: Sequence[str], identities: Sequence[str | None]):
        super().__init__(path, keys, identities)
        self.root = str(root)

    def encoded(self, row: int) -> bytes:
        """The file's bytes."""
        with open(os.path.join(self.root, self.keys[row]), "rb") as file:  # noqa: PTH118, PTH123 (called per face)
            return file.read()

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes a list."""
        up = os.path.relpath(Path(self.root).resolve(), out.resolve())
        write_list(
            out / LIST,
            ((os.path.normpath(f"{up}/{self.keys[row]}"), self.identities[row] if named else None) for row in rows),
        )


class ShardStore(Store):
    """Faces in uncompressed tar files, found by offset."""

    def __init__(self, path: Path, table: pa.Table):
        super().__init__(path, table["key"].to_pylist(), table["identity"].to_pylist())
        shards = table["shard"].combine_chunks().dictionary_encode()
        self.shards = [os.path.normpath(path / name) for name in shards.dictionary.to_pylist()]
        self.shard = shards.indices.to_numpy()
        self.offset, self.length = table["offset"].to_numpy(), table["length"].to_numpy()
        for number, shard in enumerate(self.shards):
            rows = self.shard == number
            _check_shard(Path(shard), int((self.offset[rows] + self.length[rows]).max()))

    def encoded(self, row: int) -> bytes:
        """The member's bytes."""
        with open(self.shards[self.shard[row]], "rb") as file:  # noqa: PTH123 (called per face)
            file.seek(self.offset[row])
            return file.read(self.length[row])

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


def open_store(path: Path) -> Store:
    """Opens a face store of any kind.

    Raises:
        InputError: Nothing there, no faces, repeated keys, an unreadable list or index, a tar file cut short.
    """
    path = Path(path)
    if path.is_dir():
        if (path / INDEX).exists():
            return ShardStore(path, _read_index(path / INDEX))
        if (path / LIST).exists():
            return _open_list(path / LIST)
        if (path / RECORDS).exists():
            return _open_records(path, path / RECORDS)
        if (path / STORES).exists():
            return _open_union(path, path / STORES)
        keys = sorted(_images(path, ""))
        return FileStore(path, path, keys, [key.rpartition("/")[0] or None for key in keys])
    if not path.exists():
        raise InputError(f"{path}: no such face store")
    if path.suffix == ".tsv":
        return _open_list(path)
    if path.suffix == ".rec":
        return _open_records(path, path)
    if path.name == STORES:
        return _open_union(path, path)
    raise InputError(
        f"{path}: not a face store; give a folder of images or of tar shards, a .tsv list, a .rec file or {STORES}"
    )


def decode(encoded: bytes) -> np.ndarray:
    """Decodes an image file to uint8 RGB [height, width, 3].

    Raises:
        ValueError: Not an image, or a damaged one.
    """
    if not encoded:
        raise ValueError("empty file")
    if encoded.startswith(PNG_START) and PNG_END not in encoded[-16:]:
        raise ValueError("PNG cut short")
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # a damaged header asks for more pixels than OpenCV allows
        image = None
    if image is None:
        raise ValueError("not a readable image")
    return image


def write_list(path: Path, faces: Iterable[tuple[str, str | None]]) -> None:
    """Writes a list of faces.

    Args:
        path: The ``.tsv`` file.
        faces: Path relative to the list's folder, and identity or None.
    """
    write_lines(path, (name if identity is None else f"{name}\t{identity}" for name, identity in faces))


def write_index(path: Path, columns: Sequence[Sequence[object] | np.ndarray]) -> None:
    """Writes an index of tar shards: `COLUMNS`, each [n]; shards as paths relative to the index's folder."""
    types = (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, names=list(COLUMNS)), path)


@stage("facerec store")
def store(faces: Path, out: Path, shard_megabytes: int = 256) -> dict[str, int]:
    """Packs a face store into tar shards, in the layout of WebDataset, with an index for random access.

    Args:
        faces: The face store to pack.
        out: Folder for ``faces-000000.tar`` ... and ``index.parquet``.
        shard_megabytes: Size at which the next shard is begun.
    """
    if shard_megabytes < 1:
        raise InputError(f"--shard-megabytes {shard_megabytes}; a shard has at least one megabyte")
    source = open_store(faces)
    shard, offset, length = zip(*_pack(source, out, shard_megabytes << 20), strict=True)
    write_index(out / INDEX, (shard, offset, length, source.keys, source.identities))
    return {"faces": len(source), "shards": len(set(shard))}


@stage("facerec split")
def split(faces: Path, out: Path, labelled: int, seed: int = 0) -> dict[str, int]:
    """Splits a labelled face store by identity into a labelled and an unlabelled one.

    Args:
        faces: A face store with identities.
        out: Folder for the stores ``labelled`` and ``unlabelled`` (shuffled, without identities) and for
            ``unlabelled_truth.npy``, the identities of the latter, for scoring only.
        labelled: Number of identities that stay labelled.
        seed: Draws them, and the order of the unlabelled faces.
    """
    source = open_store(faces)
    truth = source.labels
    if truth is None or truth.min() < 0:
        unknown = len(source) if truth is None else int((truth < 0).sum())
        raise InputError(f"{faces}: {unknown} of {len(source)} faces have no identity; a split needs all of them")
    identities = int(truth.max()) + 1
    if not 0 < labelled < identities:
        raise InputError(f"--labelled {labelled} of {identities} identities in {faces}; choose 1 to {identities - 1}")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(identities, bool)
    chosen[generator.permutation(identities)[:labelled]] = True
    kept = np.flatnonzero(chosen[truth])
    hidden = generator.permutation(np.flatnonzero(~chosen[truth]))
    for name, rows in (("labelled", kept), ("unlabelled", hidden)):
        (out / name).mkdir()
        source.subset(rows, out / name, named=name == "labelled")
    np.save(out / "unlabelled_truth.npy", truth[hidden])
    return {"labelled_faces": len(kept), "unlabelled_faces": len(hidden), "identities": identities}


def _pack(source: Store, out: Path, limit: int) -> Iterator[tuple[str, int, int]]:
    """Writes shards; yields for each face its shard, the offset of its bytes, and their number."""
    labels = source.labels
    shards = 0
    tar = None
    try:
        for row in tqdm(range(len(source)), "pack", unit=" faces", disable=None):
            if tar is None or tar.offset >= limit:
                if tar is not None:
                    tar.close()
                name = f"faces-{shards:06d}.tar"
                tar = tarfile.open(out / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed below)
                shards += 1
            try:
                encoded = source.encoded(row)
            except OSError as error:
                reason = error.strerror or error
                raise InputError(f"{source.path}: {source.keys[row]} cannot be read ({reason})") from None
            yield name, _add(tar, f"{row:09d}{Path(source.keys[row]).suffix.lower()}", encoded), len(encoded)
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


def _images(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _images(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIXES):
                yield prefix + entry.name


def _open_list(path: Path) -> FileStore:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    keys: list[str] = []
    identities: list[str | None] = []
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if not fields[0] or len(fields) > 2:
            raise InputError(f"{path}: line {number} is {line[:80]!r}; expected a path, or path<TAB>identity")
        keys.append(fields[0])
        identities.append(fields[1] if len(fields) == 2 and fields[1] else None)
    store = FileStore(path, path.parent, keys, identities)
    if not any((path.parent / key).is_file() for key in keys[:PROBED_FACES]):
        raise InputError(
            f"{path}: none of its first {min(PROBED_FACES, len(keys))} files exists, e.g. {path.parent / keys[0]}; "
            "paths are relative to the list's folder"
        )
    return store


def _open_records(path: Path, file: Path) -> Store:
    from facerec.recordio import open_recordio  # which imports this module

    return open_recordio(path, file)


def _open_union(path: Path, file: Path) -> Store:
    from facerec.union import open_union  # which imports this module

    return open_union(path, file)


def _read_index(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not a readable index ({reason}); pack the faces again") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; an index has {', '.join(COLUMNS)}")
    if any(table[name].null_count for name in COLUMNS[:4]):
        raise InputError(f"{path}: empty values in {', '.join(COLUMNS[:4])}; pack the faces again")
    return table


def _check_shard(shard: Path, end: int) -> None:
    if not shard.is_file():
        raise InputError(f"{shard}: no such shard, but the index refers to it")
    size = shard.stat().st_size
    if size < end:
        raise InputError(f"{shard}: {size} bytes, but the index refers to {end}; it was cut short, copy it again")


def _repeated(keys: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
