"""A corpus of rendered faces with identities, in the parts that semi-supervised training needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facerec.pipeline.contact_sheet import contact_sheet
from facerec.pipeline.progress import progress
from facerec.pipeline.stage import Results
from facerec.pipeline.worker_pool import spread
from facerec.rendering.composition import (
    SPLITS,
    Composition,
    compose_named,
    compose_shuffled,
    compose_test,
    face_counts,
    generator_of,
)
from facerec.rendering.ijb_files import write_protocol
from facerec.rendering.person import draw_person
from facerec.rendering.photograph import draw_photograph, next_frame
from facerec.rendering.render import Sitter, render

SHEET_ROWS, SHEET_COLUMNS = 8, 10


def render_corpus(out: Path, composition: Composition, workers: int) -> Results:
    """Renders a corpus into a folder; see `facerec.commands.synth.synth` for the files.

    Returns:
        Numbers of faces by part, and of what the protocol has.
    """
    rng = generator_of(composition.seed, SPLITS["composition"])
    mean = composition.faces_per_identity
    parts = {
        "labelled": compose_named(rng, composition.labelled, mean),
        "validation": compose_named(rng, composition.validation, mean),
    }
    counts = np.append(face_counts(rng, composition.unlabelled, mean), np.ones(composition.strangers, np.int64))
    names, media, protocol_faces = compose_test(rng, composition.test)
    parts["unlabelled"], truth = compose_shuffled(rng, counts)
    parts["test"] = names
    take(list(_sittings(out, composition, parts, media)), workers)
    np.save(out / "unlabelled_truth.npy", truth, allow_pickle=False)
    (out / "protocol").mkdir()
    protocol = write_protocol(out / "protocol", protocol_faces, composition.size, rng)
    _draw_sheet(out / "labelled", out / "contact_sheet.png", composition.size)
    return {"faces": {name: sum(map(len, people)) for name, people in parts.items()}, "protocol": protocol}


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

    Each photograph has its own seed, made of the corpus's seed, its part, identity and number. So it is the same
    whichever process takes it, in whichever order.
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


def _sittings(
    out: Path, composition: Composition, parts: Mapping[str, list[list[str]]], media: Sequence[tuple[int, ...]]
) -> Iterator[Sitting]:
    """A sitting for every identity, whose folder is made; `media` are those of the test identities."""
    for name, people in parts.items():
        for identity, names in enumerate(people):
            paths = tuple(out / name / file for file in names)
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            frames = media[identity] if name == "test" else tuple(range(len(names)))
            yield Sitting(
                composition.seed, SPLITS[name], identity, composition.size, composition.difficulty, paths, frames
            )


def _draw_sheet(folder: Path, file: Path, size: int) -> None:
    """Draws identities as rows and their first photographs as columns, from a folder with a subfolder an identity."""
    people = [sorted(entry.iterdir())[:SHEET_COLUMNS] for entry in sorted(folder.iterdir())]
    chosen = sorted(people, key=lambda names: -len(names))[:SHEET_ROWS]
    rows = [[cv2.imread(str(name)) for name in names] for names in chosen]
    cv2.imwrite(str(file), contact_sheet(rows, SHEET_COLUMNS, size, paper=255))


def take(sittings: Sequence[Sitting], workers: int) -> None:
    """Takes all photographs, with a progress bar."""
    total = sum(len(sitting.paths) for sitting in sittings)
    with progress(None, "render", "faces", total) as bar:
        for done in spread(photograph, sittings, workers, prepare=_prepare_worker):
            bar.update(done)


def _prepare_worker() -> None:
    """Keeps OpenCV from threads of its own beside those of the pool."""
    cv2.setNumThreads(1)
