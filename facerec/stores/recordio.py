"""insightface's training sets in RecordIO, read without mxnet and with random access.

``train.rec`` holds the records, and ``train.idx`` has a line ``key<TAB>offset`` for each. Without the index the records
are found in one pass and numbered from 0, as mxnet's ``rec2idx`` does it. A record is

- 8 bytes of frame: the magic, then kind of part and length;
- 24 bytes of header: the number of labels, the label if there is only one, two ids;
- the labels, if there are several;
- the image file.

Where the magic occurs in a record it is cut out, and the record is stored in parts. `facerec.stores.recordio_list`
reads ``train.lst`` and ``property``, if they are there.

Formats: dmlc-core's ``recordio.h`` and mxnet's ``recordio.py``; insightface's ``face2rec2.py`` for what is a face.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from facerec.pipeline.files import InputError, check_file, row_blocks
from facerec.pipeline.progress import progress
from facerec.stores.record_scan import FRAME, LENGTH_BITS, MAGIC, find_records
from facerec.stores.recordio_list import check_property, read_names
from facerec.stores.shards import ShardStore
from facerec.stores.store import SUFFIXES

logger = logging.getLogger(__name__)

PARTS = "parts.bin"
FIRST, LAST = 1, 3  # kinds of parts; 0 is a record in one, 2 a part between
HEADER = 24
MOST_BYTES = 1 << 26  # of a record; an image of a face is far smaller
MOST_LABEL = 1 << 31
COARSE = 1 << 24  # from here on float32 does not hold every whole number
BLOCK_RECORDS = 16_384
SUFFIX_OF = {b"\x89": ".png", b"B": ".bmp", b"R": ".webp"}  # by an image's first byte; else .jpg

START = np.dtype(
    [("magic", "<u4"), ("length", "<u4"), ("labels", "<u4"), ("label", "<f4"), ("ids", "<u8", 2), ("first", "<f4")]
)
RECORD = np.dtype(
    [("key", "i8"), ("offset", "i8"), ("end", "i8"), ("image", "i8"), ("length", "i8"), ("label", "f4"),
     ("labels", "u4"), ("byte", "S1"), ("whole", "?"), ("parted", "?")]
)  # fmt: skip


class RecordStore(ShardStore):
    """Faces in a ``.rec`` file, found by offset.

    Attributes:
        parted: For each row whose record is stored in parts, where the record begins and where the next one does.
    """

    def __init__(self, path: Path, file: Path, faces: np.ndarray, names: list[str] | None = None):
        super().__init__(
            path, _keys(faces, names), _identities(faces), [os.path.normpath(file)],
            np.zeros(len(faces), np.int8), faces["image"].copy(), faces["length"].copy(),
        )  # fmt: skip
        rows = np.flatnonzero(faces["parted"])
        spans = zip(faces["offset"][rows].tolist(), faces["end"][rows].tolist(), strict=True)
        self.parted = dict(zip(rows.tolist(), spans, strict=True))

    def encoded(self, row: int) -> bytes:
        """The image in the record."""
        if row in self.parted:
            return _joined(self.shards[0], *self.parted[row])
        if not self.length[row]:
            raise OSError(f"its record, at byte {self.offset[row]} of {self.shards[0]}, is damaged or has no image")
        return super().encoded(row)

    def subset(self, rows: Iterable[int], out: Path, named: bool) -> None:
        """Writes an index into the ``.rec`` file; images stored in parts are put together in a file beside it."""
        rows = np.fromiter(rows, np.int64)
        parted: np.ndarray = np.intersect1d(rows, list(self.parted)).astype(np.int64)
        if not parted.size:
            super().subset(rows, out, named)
            return
        shard, offset, length = self.shard.copy(), self.offset.copy(), self.length.copy()
        with (out / PARTS).open("wb") as file:
            for row in parted.tolist():
                shard[row], offset[row] = 1, file.tell()
                length[row] = file.write(self._encoded_or_empty(row))
        files = [*self.shards, str(out / PARTS)]
        ShardStore(self.path, self.keys, self.identities, files, shard, offset, length).subset(rows, out, named)

    def _encoded_or_empty(self, row: int) -> bytes:
        try:
            return self.encoded(row)
        except OSError:
            return b""


def open_recordio(path: Path, file: Path) -> RecordStore:
    """Opens a record file, by the ``.idx`` beside it if there is one. Rows are in the order of the keys.

    A damaged record is a face without identity that cannot be read.

    Args:
        path: Where the store was opened.
        file: The ``.rec`` file.

    Raises:
        InputError: The record file is cut short. The index is none, is cut short or of another file, lacks the header,
            or has repeated or negative keys or offsets. A label is no identity. The list or the property is of another
            set.
    """
    index = file.with_suffix(".idx")
    try:
        keys, offsets = _read_index(index) if index.exists() else find_records(file)
        records = _read_records(file, index, keys, offsets)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    faces = records[_is_face(file, index, records)]
    _check_labels(file, faces)
    if file.name == "train.rec":  # the one that insightface describes there
        check_property(file.with_name("property"), faces["label"])
    return RecordStore(path, file, faces, read_names(file.with_suffix(".lst"), faces["key"], faces["label"]))


def _read_index(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys and offsets, each int64 [n], by ascending key."""
    check_file(file)
    try:
        table = csv.read_csv(
            file,
            csv.ReadOptions(use_threads=False, column_names=["key", "offset"]),  # same message always
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(column_types={"key": pa.int64(), "offset": pa.int64()}, null_values=[]),
        )
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: not lines of key<TAB>offset ({reason}); copy it again") from None
    keys, offsets = (table[name].to_numpy() for name in ("key", "offset"))
    if not keys.size:
        raise InputError(f"{file}: no lines; copy it again")
    for name, numbers in (("key", keys), ("offset", offsets)):
        if numbers.min() < 0:
            raise InputError(f"{file}: {name} {numbers.min()}; copy it again")
        if (twice := _repeated(numbers)) is not None:
            raise InputError(f"{file}: {name} {twice} stands there more than once; copy it again")
    order = np.argsort(keys)
    return keys[order], offsets[order]


def _repeated(numbers: np.ndarray) -> int | None:
    numbers = np.sort(numbers)
    twice = np.flatnonzero(numbers[1:] == numbers[:-1])
    return int(numbers[twice[0]]) if twice.size else None


def _read_records(file: Path, index: Path, keys: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """`RECORD` [n] in the order given, read in the order of the file."""
    size = file.stat().st_size
    order = np.argsort(offsets)
    ends = np.append(offsets[order[1:]], size)
    if offsets.max() > size - FRAME - HEADER:
        raise InputError(f"{file}: {size} bytes, but {index.name} refers to {offsets.max()}; copy both again")
    records = np.empty(len(keys), RECORD)
    records["key"] = keys
    for block in progress(row_blocks(len(order), BLOCK_RECORDS), "records", "blocks"):
        rows = order[block]
        _parse(file, records, rows, offsets[rows], ends[block])
    damaged = np.flatnonzero(~records["whole"])
    if 2 * damaged.size > len(records):
        raise InputError(
            f"{file}: no record at {damaged.size} of the {len(keys)} places in {index.name}; copy both again"
        )
    _check_tail(file, index, records[order[-1]], size)
    _say_unlisted(file, index, records)
    if damaged.size:
        logger.warning("%s: %d damaged records, the first with key %d", file, damaged.size, keys[damaged[0]])
    return records


def _check_tail(file: Path, index: Path, last: np.void, size: int) -> None:
    if not last["whole"]:
        raise InputError(f"{file}: its last record, at byte {last['offset']}, is cut short; copy it again")
    rest = int(size - last["image"] - last["length"])
    if rest >= FRAME and not last["parted"]:
        raise InputError(f"{index}: {rest} bytes of {file.name} lie behind the last record listed; copy both again")


def _say_unlisted(file: Path, index: Path, records: np.ndarray) -> None:
    """Warns of bytes before and between the records listed: there may be faces in them."""
    rest = np.where(records["whole"] & ~records["parted"], records["end"] - records["image"] - records["length"], 0)
    unlisted = int(records["offset"].min()) + int(rest[rest >= FRAME].sum())
    if unlisted:
        logger.warning(
            "%s: %d bytes of %s lie before or between the records listed; if faces are missing, copy both again",
            index, unlisted, file.name,
        )  # fmt: skip


def _parse(file: Path, records: np.ndarray, rows: np.ndarray, offset: np.ndarray, end: np.ndarray) -> None:
    """Fills in some records, ascending in the file.

    Only one block of the file is mapped at a time, so that the memory in use stays small.

    Args:
        file: The ``.rec``.
        records: `RECORD` [n].
        rows: int64 [b], which of them.
        offset: int64 [b], where each begins.
        end: int64 [b], where the next one begins.
    """
    window = np.asarray(np.memmap(file, np.uint8, "r", int(offset[0]), (int(end[-1] - offset[0]),)))
    last = len(window) - 1
    place = offset - offset[0]
    start = window[np.minimum(place[:, None] + np.arange(START.itemsize), last)].view(START)[:, 0]
    size = (start["length"] & ((1 << LENGTH_BITS) - 1)).astype(np.int64)
    kind = start["length"] >> LENGTH_BITS
    image = FRAME + HEADER + 4 * start["labels"].astype(np.int64)
    length = FRAME + size - image
    whole = (start["magic"] == MAGIC) & (kind <= FIRST) & (length >= 0) & (size <= MOST_BYTES)
    whole &= offset + FRAME + size <= end
    byte = window[np.where(whole, np.minimum(place + image, last), 0)]
    label = np.where(start["labels"] > 0, start["first"], start["label"])
    values = {
        "offset": offset, "end": end, "image": offset + np.where(whole, image, 0), "length": np.where(whole, length, 0),
        "label": label, "labels": start["labels"], "byte": byte.view("S1"), "whole": whole,
        "parted": whole & (kind == FIRST),
    }  # fmt: skip
    for name, value in values.items():
        records[name][rows] = value


def _is_face(file: Path, index: Path, records: np.ndarray) -> np.ndarray:
    """Bool [n]: which records are faces.

    All, unless the record of the lowest key has labels and no image. Then its first label is the key after the faces.
    That label is a float32, which may have been rounded. As far around it as rounding may have led, the records with an
    image are the faces.
    """
    first, keys = records[0], records["key"]
    if not first["whole"]:
        raise InputError(f"{file}: its first record, key {keys[0]}, is damaged; copy it again")
    if not first["labels"] or first["length"] or first["parted"]:
        of_header = np.flatnonzero(records["whole"] & (records["labels"] > 1) & (records["length"] == 0))
        if of_header.size:
            raise InputError(
                f"{index}: key {keys[of_header[0]]} says which faces are of one person, as beside a header, and the "
                "first record is none; copy both again"
            )
        return np.ones(len(records), bool)
    behind = float(first["label"])
    if not (int(keys[0]) + 1 < behind < np.iinfo(np.int64).max and behind.is_integer()):
        raise InputError(f"{file}: key {keys[0]} says that the faces end before key {behind}; copy it again")
    rounding = float(np.spacing(first["label"]))
    faces = np.where(np.abs(keys - behind) < rounding, records["length"] > 0, keys < behind)
    faces[0] = False
    expected, found = int(behind) - 1 - int(keys[0]), int(faces.sum())
    if found < max(1, expected - int(rounding)):
        raise InputError(f"{index}: {found} of the {expected} faces that {file.name} says it has; copy both again")
    return faces


def _check_labels(file: Path, faces: np.ndarray) -> None:
    """Sets the labels of damaged records to -1."""
    faces["label"][~faces["whole"]] = -1
    with np.errstate(invalid="ignore"):
        fine = (faces["label"] >= 0) & (faces["label"] < MOST_LABEL) & (faces["label"] == np.floor(faces["label"]))
    bad = np.flatnonzero(faces["whole"] & ~fine)
    if bad.size:
        key, label = faces["key"][bad[0]], faces["label"][bad[0]]
        raise InputError(
            f"{file}: {bad.size} labels are no identities, e.g. {label} of key {key}; they are 0, 1, 2, ..."
        )
    if faces["label"].max() >= COARSE:
        logger.warning(
            "%s: labels up to %.0f; RecordIO rounds those above %d, so two people may have one: number them from 0",
            file, faces["label"].max(), COARSE,
        )  # fmt: skip


def _keys(faces: np.ndarray, names: list[str] | None) -> list[str]:
    """The names of a list, or else the record's key in nine digits, so that names sort as keys do.

    Both end in the suffix of an image; if there is none yet, it is that of the format.
    """
    suffixes = np.full(len(faces), ".jpg", dtype="U5")
    for byte, suffix in SUFFIX_OF.items():
        suffixes[faces["byte"] == byte] = suffix
    if names is not None:
        pairs = zip(names, suffixes.tolist(), strict=True)
        return [name if name.lower().endswith(SUFFIXES) else name + suffix for name, suffix in pairs]
    digits = pc.utf8_lpad(pa.array(faces["key"]).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(digits, pa.array(suffixes), "").to_pylist()


def _identities(faces: np.ndarray) -> list[str | None]:
    """The label in as many digits as the largest needs, so that names sort as labels do."""
    labels, numbers = np.unique(faces["label"].astype(np.int64), return_inverse=True)
    names = np.char.zfill(labels.astype(str), len(str(labels[-1]))).astype(object)
    names[labels < 0] = None
    return names[numbers].tolist()


def _joined(file: str, offset: int, end: int) -> bytes:
    """The image of a record stored in parts, of which all but the last are whole words and so need no padding.

    Raises:
        OSError: One of them is not there or not whole.
    """
    with open(file, "rb") as opened:  # noqa: PTH123 (called per face)
        opened.seek(offset)
        stored = opened.read(min(end - offset, MOST_BYTES))
    parts: list[bytes] = []
    kind = place = 0
    while kind != LAST:
        magic, length = struct.unpack_from("<II", stored, place) if place + FRAME <= len(stored) else (0, 0)
        kind, length = length >> LENGTH_BITS, length & ((1 << LENGTH_BITS) - 1)
        place += FRAME + length
        if magic != MAGIC or place > len(stored):
            raise OSError(f"its record, at byte {offset} of {file}, lacks part {len(parts) + 1}")
        parts.append(stored[place - length : place])
    payload = struct.pack("<I", MAGIC).join(parts)
    return payload[HEADER + 4 * int.from_bytes(payload[:4], "little") :]
