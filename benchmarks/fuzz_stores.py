"""Faces in the formats that `fuzz` damages."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz_basics import Reader, encoded


def make_faces(folder: Path) -> None:
    for number in range(6):
        (folder / f"person{number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"person{number % 3}" / f"{number}.png").write_bytes(encoded(number, ".png"))


def make_list(folder: Path) -> None:
    make_faces(folder / "kept")
    for file in (folder / "kept").rglob("*.png"):
        file.rename(file.with_name(f"kept{file.name}"))
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    (folder / "faces.tsv").write_text("".join(f"{name}\t{name.split('/')[1]}\n" for name in names))


def make_union(folder: Path) -> None:
    for name in ("one", "two"):
        make_faces(folder / name)
    for file in folder.rglob("*.png"):
        file.rename(file.with_name(f"kept{file.name}"))
    (folder / "stores.txt").write_text("one\tfirst\ntwo\n")
    np.save(folder / "order.npy", np.arange(12)[::-1])


def make_shards(folder: Path) -> None:
    from facerec.commands.store import store

    make_faces(folder / "faces")
    store(folder / "faces", folder / "shards")
    shutil.rmtree(folder / "faces")
    for file in (folder / "shards").iterdir():
        file.rename(folder / file.name)
    (folder / "shards").rmdir()
    (folder / "meta.json").unlink()


def make_records(folder: Path) -> None:
    import struct

    content, lines = b"", []
    for key in range(6):
        image = encoded(key, ".jpg")
        payload = struct.pack("<IfQQ", 0, float(key % 3), key, 0) + image
        lines.append(f"{key}\t{len(content)}\n")
        content += struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)
    (folder / "train.rec").write_bytes(content)
    (folder / "train.idx").write_text("".join(lines))
    (folder / "property").write_text("3,32,32\n")


def make_records_alone(folder: Path) -> None:
    make_records(folder)
    (folder / "train.idx").unlink()
    lines = "".join(f"{key}\t{key % 3}.0\tp{key % 3}/{key}.jpg\n" for key in range(9))
    (folder / "train.lst").write_text(lines)


def make_tars(folder: Path) -> None:
    import io
    import tarfile

    for shard in range(2):
        with tarfile.open(folder / f"faces-{shard}.tar", "w") as tar:
            for row in range(3 * shard, 3 * shard + 3):
                for suffix, content in (("cls", b"%d" % (row % 3)), ("png", encoded(row, ".png"))):
                    member = tarfile.TarInfo(f"{row:06d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def make_tables(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": encoded(row, ".png"), "path": f"{row}.png"} for row in range(6)], kind)
    features = {"label": {"names": ["ann", "bob", "eve"], "_type": "ClassLabel"}}
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": images, "label": [row % 3 for row in range(6)]}).replace_schema_metadata(note)
    pq.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=2)


def make_zip(folder: Path) -> None:
    import zipfile

    with zipfile.ZipFile(folder / "faces.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for row in range(6):
            archive.writestr(f"p{row % 3}/{row}.png", encoded(row, ".png"))


def make_lists(folder: Path) -> None:
    (folder / "kept").mkdir()
    for row in range(6):
        (folder / "kept" / f"kept{row}.png").write_bytes(encoded(row, ".png"))
    names = [f"kept/kept{row}.png" for row in range(6)]
    (folder / "faces.csv").write_text("path,identity\n" + "".join(f"{name},p{len(name)}\n" for name in names))
    (folder / "faces.lst").write_text("".join(f"{row}\t{row % 3}.0\t{name}\n" for row, name in enumerate(names)))


def store_file(name: str) -> Callable[[Path], None]:
    """Reads a store that is one file of a folder."""
    return lambda folder: read_store(folder / name)


def read_lists(folder: Path) -> None:
    read_store(folder / "faces.csv")
    read_store(folder / "faces.lst")


def read_store(folder: Path) -> None:
    from facerec.stores.open import open_store
    from facerec.stores.store import UnreadableFace

    store = open_store(folder)
    assert len(store.keys) == len(store)
    store.labels  # noqa: B018 (read)
    for row in range(min(len(store), 50)):
        try:
            store.read(row)
        except UnreadableFace:
            continue


def make_bin(folder: Path) -> None:
    images = [encoded(number, ".jpg") for number in range(8)]
    (folder / "set.bin").write_bytes(pickle.dumps((images, [True, False, True, False])))


def make_old_bin(folder: Path) -> None:
    images = [np.frombuffer(encoded(number, ".jpg"), np.uint8) for number in range(8)]
    (folder / "set.bin").write_bytes(pickle.dumps((images, np.array([True, False, True, False])), 0))


def read_bin(folder: Path) -> None:
    from facerec.stores.verification_bin import read_bin

    read_bin(folder / "set.bin")


def make_pictures(folder: Path) -> None:
    for suffix in (".jpg", ".png", ".bmp", ".webp", ".tif"):
        (folder / f"face{suffix}").write_bytes(encoded(0, suffix))


def make_thumbnails(folder: Path) -> None:
    from facerec.commands.thumbnails import thumbnails

    make_faces(folder / "faces")
    made = thumbnails(folder / "faces", folder / "made", size=16)
    shutil.rmtree(folder / "faces")
    for file in made.iterdir():
        file.rename(folder / file.name)
    made.rmdir()
    (folder / "meta.json").unlink()


def read_thumbnails(folder: Path) -> None:
    from facerec.pipeline.thumbnails import Thumbnails

    pictures = Thumbnails.load(folder)
    for row in range(len(pictures)):
        pictures.read(row)


READERS = {
    "thumbnails": Reader(make_thumbnails, read_thumbnails),
    "folder": Reader(make_faces, read_store),
    "pictures": Reader(make_pictures, read_store),
    "list": Reader(make_list, read_store),
    "stores": Reader(make_union, read_store),
    "parquet": Reader(make_shards, read_store),
    "rec": Reader(make_records, read_store),
    "rec alone": Reader(make_records_alone, read_store),
    "tars": Reader(make_tars, read_store),
    "tables": Reader(make_tables, read_store),
    "zip": Reader(make_zip, store_file("faces.zip")),
    "lists": Reader(make_lists, read_lists),
    "bin": Reader(make_bin, read_bin),
    "old bin": Reader(make_old_bin, read_bin),
}
