"""Writes a test set as IJB-C protocol files: templates, media, 1:1 pairs, galleries and probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec.pipeline.files import write_lines, write_table

IMPOSTOR_PAIRS = 500_000
COLUMNS = ("TEMPLATE_ID", "SUBJECT_ID", "FILENAME", "SIGHTING_ID", "FACE_X", "FACE_Y", "FACE_WIDTH", "FACE_HEIGHT")


@dataclass(frozen=True)
class ProtocolFace:
    """One face of the test set.

    Attributes:
        key: Its name in the face store.
        subject: From 0.
        template: From 0, numbered over all subjects; the first template of a subject is the one for the gallery.
        media: From 0, numbered over all subjects; frames of a video share it.
    """

    key: str
    subject: int
    template: int
    media: int


def plan_media(rng: np.random.Generator, faces: int) -> list[tuple[int, int]]:
    """Cuts one subject's faces into stills and videos, and those into templates.

    Args:
        rng: Source of chance.
        faces: At least 4.

    Returns:
        (template, media) of each face, both from 0; three to six templates with whole media each, or as many as
        there are media.
    """
    lengths: list[int] = []
    while (left := faces - sum(lengths)) > 0:
        longest = min(5, left if lengths else left - 1)
        lengths.append(int(rng.integers(2, longest + 1)) if longest >= 2 and rng.random() < 0.35 else 1)
    templates = min(len(lengths), int(rng.integers(3, 7)))
    owner = [index if index < templates else int(rng.integers(templates)) for index in range(len(lengths))]
    return [(owner[media], media) for media, length in enumerate(lengths) for _ in range(length)]


def write_protocol(folder: Path, faces: Sequence[ProtocolFace], size: int, rng: np.random.Generator) -> dict[str, int]:
    """Writes ``synth_face_tid_mid.txt``, ``synth_template_pair_label.txt`` and the three ``synth_1N_*.csv``.

    Template and media ids are positive and in no order. All genuine pairs are listed, and all impostor pairs up to
    `IMPOSTOR_PAIRS`, beyond that a random choice. Half of the subjects are in gallery G1, half in G2.

    Returns:
        How many of everything there are.
    """
    subject = np.array([face.subject for face in faces])
    template = np.array([face.template for face in faces])
    template_ids = 1 + rng.permutation(template.max() + 1)
    media_ids = 1 + rng.permutation(max(face.media for face in faces) + 1)
    write_lines(
        folder / "synth_face_tid_mid.txt",
        (f"{face.key} {template_ids[face.template]} {media_ids[face.media]}" for face in faces),
    )
    first = np.unique(template, return_index=True)[1]
    pairs = _pairs(subject[first], rng)
    write_lines(
        folder / "synth_template_pair_label.txt",
        (f"{template_ids[a]} {template_ids[b]} {same}" for a, b, same in pairs),
    )
    order = rng.permutation(subject.max() + 1)
    gallery_of = np.where(order < len(order) / 2, 1, 2)[subject]
    frames = np.bincount([face.media for face in faces])
    enrolled = np.isin(template, template[np.unique(subject, return_index=True)[1]])
    parts = {
        "gallery_G1": enrolled & (gallery_of == 1),
        "gallery_G2": enrolled & (gallery_of == 2),
        "probe_mixed": ~enrolled,
    }

    def rows(chosen: np.ndarray) -> Iterator[tuple[object, ...]]:
        for index in np.flatnonzero(chosen).tolist():
            face = faces[index]
            kind = "frames" if frames[face.media] > 1 else "img"
            yield template_ids[face.template], face.subject + 1, f"{kind}/{face.key}", index + 1, 0, 0, size, size

    for name, chosen in parts.items():
        write_table(folder / f"synth_1N_{name}.csv", COLUMNS, rows(chosen))
    return {
        "templates": len(first),
        "media": len(frames),
        "genuine_pairs": int(pairs[:, 2].sum()),
        "impostor_pairs": int((pairs[:, 2] == 0).sum()),
    }


def _pairs(subjects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pairs of templates in random order, int [pairs, 3]: first, second, whether of the same subject."""
    first, second = np.triu_indices(len(subjects), k=1)
    same = subjects[first] == subjects[second]
    impostors = np.flatnonzero(~same)
    if len(impostors) > IMPOSTOR_PAIRS:
        impostors = rng.choice(impostors, IMPOSTOR_PAIRS, replace=False)
    chosen = rng.permutation(np.concatenate([np.flatnonzero(same), impostors]))
    return np.column_stack([first[chosen], second[chosen], same[chosen].astype(int)])
