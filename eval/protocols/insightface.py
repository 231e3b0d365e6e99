"""IJB-B and IJB-C in insightface's file layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.protocols.checks import check_both_kinds
from eval.protocols.protocol import Faces, Pairs, Protocol, load_subjects
from eval.protocols.tables import line_of, read_table
from facerec.pipeline.files import InputError

FACES, PAIRS, PROBES = "_face_tid_mid.txt", "_template_pair_label.txt", "_1N_probe_mixed.csv"
GALLERIES = {"1": ("_1N_gallery_G1.csv", "_1N_gallery_S1.csv"), "2": ("_1N_gallery_G2.csv", "_1N_gallery_S2.csv")}


def is_meta(folder: Path) -> bool:
    """Whether a folder has this layout: it has its file of faces."""
    return has(folder, FACES)


def load_meta(folder: Path) -> Protocol:
    """Reads insightface's layout."""
    faces = load_faces(find(folder, FACES))
    pairs, galleries = load_pairs(find(folder, PAIRS)), {}
    _refuse_exchanged(faces, pairs)
    present = [ends for ends in GALLERIES.values() if has(folder, *ends)]
    if not present and not has(folder, PROBES):
        return Protocol("insightface", faces, pairs, {}, None)
    for ends in present or GALLERIES.values():
        path = find(folder, *ends)
        galleries[path.stem[-2:]] = load_subjects(path)
    return Protocol("insightface", faces, pairs, galleries, load_subjects(find(folder, PROBES)))


def load_faces(path: Path) -> Faces:
    """Reads ``name template media`` lines."""
    table = read_table(path, {"name": "string", "template": "id", "media": "id"})
    return Faces(
        path,
        table["name"].combine_chunks(),
        table["template"].to_numpy(),
        table["media"].to_numpy(),
        lambda row: f"{path} line {line_of(path, row)}",
    )


def load_pairs(path: Path) -> Pairs:
    """Reads ``template template label`` lines; label 1 is a genuine pair, 0 an impostor pair."""
    table = read_table(path, {"first": "id", "second": "id", "label": "bool"})
    genuine = table["label"].to_numpy()
    check_both_kinds(path, genuine)
    return Pairs(path, table["first"].to_numpy(), table["second"].to_numpy(), genuine)


def _refuse_exchanged(faces: Faces, pairs: Pairs) -> None:
    """Refuses a file of faces in which the media stand before the templates.

    A template has one medium or more, so there are hardly ever fewer media than templates. If there are, and at least
    as many templates of the pairs stand among the media, the columns are exchanged.
    """
    templates, media = np.unique(faces.template), np.unique(faces.media)
    if len(media) >= len(templates):
        return
    wanted = np.unique(np.concatenate([pairs.first, pairs.second]))
    if np.isin(wanted, media).sum() >= np.isin(wanted, templates).sum():
        raise InputError(
            f"{faces.path}: {len(templates)} templates of only {len(media)} media, and the third column has the "
            f"templates of {pairs.path.name}; the columns are name, template, media, so exchange the last two"
        )


def has(folder: Path, *ends: str) -> bool:
    """Whether a file of a folder has one of these ends."""
    return bool(_ending(folder, ends))


def find(folder: Path, *ends: str) -> Path:
    """The one file of a folder whose name has one of these ends."""
    paths = _ending(folder, ends)
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise InputError(f"{folder}: expected one file that ends in {' or '.join(ends)}, found {names}")
    return paths[0]


def _ending(folder: Path, ends: tuple[str, ...]) -> list[Path]:
    """The files with one of these ends; not those that macOS puts beside them, as ``._ijbc_face_tid_mid.txt``."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(ends) and not path.name.startswith("."))
