"""CFP's own protocol: frontal and profile pictures by number, and ten folds of pairs of numbers.

Protocol/Pair_list_F.txt, Pair_list_P.txt      number and path of each frontal and of each profile picture
Protocol/Split/FP/01/same.txt, diff.txt        frontal,profile a line; FF: frontal,frontal
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.protocols.pair_layouts import PairList, is_count
from facerec.pipeline.files import InputError, read_lines

LISTS = {"FF": ("Pair_list_F.txt", "Pair_list_F.txt"), "FP": ("Pair_list_F.txt", "Pair_list_P.txt")}
KINDS = (("same.txt", True), ("diff.txt", False))


def is_cfp(folder: Path) -> bool:
    """Whether a folder is Split/FF or Split/FP, or one above them."""
    return folder.name in LISTS or any((place / "Pair_list_F.txt").is_file() for place in (folder, folder / "Protocol"))


def read_cfp(folder: Path) -> PairList:
    """Reads the ten folds of Split/FF or Split/FP.

    Raises:
        InputError: A folder above these, a file that is missing or malformed (naming the line).
    """
    if folder.name not in LISTS:
        raise InputError(f"{folder}: CFP has two protocols; give its folder Split/FF or Split/FP")
    pictures = [_read_pictures(folder.absolute().parent.parent / name) for name in LISTS[folder.name]]
    first, second, same, fold, people, lines = [], [], [], [], [], []
    places = sorted(place for place in folder.iterdir() if place.is_dir())
    for number, place in enumerate(places):
        for name, genuine in KINDS:
            for line, pair in _read_pairs(place / name, pictures):
                first.append(pair[0])
                second.append(pair[1])
                people.append([_person(path) for path in pair])
                same.append(genuine)
                fold.append(number)
                lines.append(line)
    if not first:
        raise InputError(f"{folder}: no pairs; expected folders 01 to 10 with same.txt and diff.txt")
    subjects = np.unique(np.array(people), return_inverse=True)[1].reshape(-1, 2)
    return PairList(folder, first, second, np.array(same), np.array(fold), subjects, lines, True)


def _read_pictures(file: Path) -> dict[int, str]:
    """The path of each picture, from the folder of people on."""
    found = {}
    for number, line in enumerate(read_lines(file), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not is_count(fields[0]):
            raise InputError(f"{file} line {number}: {line[:80]!r}; expected a number and a path")
        found[int(fields[0])] = fields[1].replace("\\", "/").rpartition("Images/")[2].removeprefix("../")
    return found


def _read_pairs(file: Path, pictures: list[dict[int, str]]) -> list[tuple[int, list[str]]]:
    pairs = []
    for number, line in enumerate(read_lines(file), 1):
        fields = line.split(",")
        if not line.strip():
            continue
        sides = list(zip(pictures, fields, strict=False))
        if len(fields) != 2 or not all(is_count(field) and int(field) in paths for paths, field in sides):
            raise InputError(f"{file} line {number}: {line[:80]!r}; expected two numbers of pictures, as 1,5")
        pairs.append((number, [paths[int(field)] for paths, field in sides]))
    return pairs


def _person(path: str) -> str:
    return path.partition("/")[0]
