"""The command ``bin``: unpacks a verification set of insightface."""

from __future__ import annotations

from pathlib import Path

from facerec.pipeline.counts import told
from facerec.pipeline.files import InputError, write_lines
from facerec.pipeline.stage import Results, stage
from facerec.stores.pictures import suffix_of
from facerec.stores.verification_bin import read_bin

SUFFIXES = (".jpg", ".png", ".bmp", ".webp")


@stage(
    "facerec bin",
    found=told("{images:face}, {pairs:pair}, {genuine:,} of them genuine"),
    then="python -m facerec embed --model MODEL --faces {out} --out EMBEDDINGS",
)
def unpack(file: Path, out: Path) -> Results:
    """Unpacks a verification set of insightface (.bin) into a face store with pairs.tsv, running none of its code.

    Args:
        file: The .bin file.
        out: Folder for the images, 000000.jpg and so on in the order of the file, and pairs.tsv: two names and 1 (one
            person) or 0 a line.
    """
    images, same = read_bin(file)
    names = [f"{index:06d}{_suffix(image, index, file)}" for index, image in enumerate(images)]
    for name, image in zip(names, images, strict=True):
        (out / name).write_bytes(image)
    rows = zip(names[::2], names[1::2], same, strict=True)
    write_lines(out / "pairs.tsv", (f"{one}\t{two}\t{int(label)}" for one, two, label in rows))
    return {"images": len(images), "pairs": len(same), "genuine": sum(same)}


def _suffix(image: bytes, index: int, file: Path) -> str:
    suffix = suffix_of(image)
    if suffix not in SUFFIXES:
        raise InputError(f"{file}: image {index} begins with {image[:4].hex()}; neither JPEG, PNG, BMP nor WebP")
    return suffix
