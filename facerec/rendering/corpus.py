"""The embedded corpus: rendered faces with identities, in the parts that semi-supervised training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facerec.pipeline.worker_pool import spread
from facerec.rendering.ijb_files import ProtocolFace, plan_media
from facerec.rendering.person import draw_person
from facerec.rendering.photograph import draw_photograph, next_frame
from facerec.rendering.render import Sitter, render

SPLITS = {"labelled": 0, "unlabelled": 1, "test": 2, "composition": 3, "validation": 4}
TAIL = 0.8
FEWEST, MOST = 2, 60
TEST_FACES = (6, 16)
SHEET_ROWS, SHEET_COLUMNS = 8, 10


@dataclass(frozen=True)
class Sitting:
    """All photographs of one identity: what a worker is asked to take.

    Attributes:
        seed: The corpus's.
        split: Number of the part.
        identity: Within the part.
        size: Pixels.
        difficulty: See `facerec.rendering.photograph.draw_photograph`.
        paths: Where each photograph goes.
        media: Photographs with the same number, one after the other, are frames of one video.
        first: The number of the first photograph; other numbers are other photographs of the same person.
    """

    seed: int
    split: int
    identity: int
    size: int
    difficulty: float
    paths: tuple[Path, ...]
    media: tuple[int, ...]
    first: int = 0


def photograph(sitting: Sitting) -> int:
    """Takes and writes all photographs of one sitting; returns their number.

    Each has its own seed, from the corpus's seed, its part, identity and number, so that it comes out the same
    whichever process takes it and in whichever order.
    """
    person = draw_person(generator_of(sitting.seed, sitting.split, sitting.identity))
    sitter = Sitter(person)
    shot, last = None, None
    for number, (path, media) in enumerate(zip(sitting.paths, sitting.media, strict=True), start=sitting.first):
        rng = generator_of(sitting.seed, sitting.split, sitting.identity, number)
        if shot is not None and media == last:
            shot = next_frame(rng, shot, sitting.difficulty)
        else:
            shot = draw_photograph(rng, person, sitting.difficulty)
        last = media
        image = render(sitter, shot, sitting.size)
        path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, shot.quality])[1].tobytes())
    return len(sitting.paths)


def contact_sheet(folder: Path, file: Path, size: int) -> None:
    """Draws identities as rows and their first photographs as columns, from a folder with a subfolder an identity."""
    people = [sorted(entry.iterdir()) for entry in sorted(folder.iterdir())]
    chosen = sorted(people, key=lambda names: -min(len(names), SHEET_COLUMNS))[:SHEET_ROWS]
    sheet = np.full((len(chosen) * size, SHEET_COLUMNS * size, 3), 255, np.uint8)
    for row, names in enumerate(chosen):
        for column, name in enumerate(names[:SHEET_COLUMNS]):
            sheet[row * size : (row + 1) * size, column * size : (column + 1) * size] = np.asarray(
                cv2.imread(str(name))
            )
    cv2.imwrite(str(file), sheet)


def generator_of(*key: int) -> np.random.Generator:
    """A generator of its own for every key, so that parts do not depend on each other."""
    return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))


def face_counts(rng: np.random.Generator, identities: int, mean: float) -> np.ndarray:
    """Heavy-tailed numbers of photographs, int64 [identities]."""
    normal = rng.lognormal(np.log(mean) - TAIL**2 / 2, TAIL, identities)
    return np.clip(np.rint(normal), FEWEST, MOST).astype(np.int64)


def compose_test(
    rng: np.random.Generator, identities: int
) -> tuple[list[list[str]], list[tuple[int, ...]], list[ProtocolFace]]:
    """Names and media of every test identity's photographs, and the same as rows of the protocol, by name."""
    plans = [plan_media(rng, int(rng.integers(TEST_FACES[0], TEST_FACES[1] + 1))) for _ in range(identities)]
    places = rng.permutation(sum(map(len, plans)))
    names, media, faces = [], [], []
    templates = taken = shot = 0
    for subject, plan in enumerate(plans):
        names.append([f"{place:06d}.jpg" for place in places[shot : shot + len(plan)]])
        media.append(tuple(m for _, m in plan))
        faces += [
            ProtocolFace(name, subject, templates + template, taken + m)
            for name, (template, m) in zip(names[-1], plan, strict=True)
        ]
        templates += 1 + max(template for template, _ in plan)
        taken += 1 + plan[-1][1]
        shot += len(plan)
    return names, media, faces


def take(sittings: Sequence[Sitting], workers: int) -> None:
    """Takes all photographs, with a progress bar."""
    total = sum(len(sitting.paths) for sitting in sittings)
    with tqdm(total=total, unit="face", disable=None) as progress:
        for done in spread(photograph, sittings, workers, prepare=_prepare_worker):
            progress.update(done)


def _prepare_worker() -> None:
    """Keeps OpenCV from threads of its own beside those of the pool."""
    cv2.setNumThreads(1)
