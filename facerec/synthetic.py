"""The embedded corpus: rendered faces with identities, in the parts that semi-supervised training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facerec.artifacts import InputError
from facerec.protocol import ProtocolFace, plan_media, write_protocol
from facerec.rendering.person import draw_person
from facerec.rendering.photograph import draw_photograph, next_frame
from facerec.rendering.render import Sitter, render
from facerec.stages import Results, stage
from facerec.workers import spread

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


@stage("facerec synth", incidental=["workers"])
def synth(
    out: Path,
    labelled: int = 200,
    validation: int = 80,
    unlabelled: int = 300,
    strangers: int = 0,
    test: int = 200,
    faces_per_identity: float = 12.0,
    size: int = 112,
    difficulty: float = 1.0,
    seed: int = 0,
    workers: int = 2,
) -> Results:
    """Renders a corpus of faces: labelled, unlabelled and test identities, no identity in two of them.

    Writes ``labelled/IDENTITY/*.jpg``, ``validation/IDENTITY/*.jpg``, ``unlabelled/*.jpg`` with
    ``unlabelled_truth.npy`` (for scoring only), ``test/*.jpg`` with ``protocol/`` in the format of IJB-C, and
    ``contact_sheet.png``. The pictures depend on the seed alone, not on the number of workers.

    Args:
        out: Folder for the corpus.
        labelled: Labelled identities, to train recognisers on.
        validation: Labelled identities that no recogniser is trained on, to choose clusterings on.
        unlabelled: Unlabelled identities.
        strangers: Further unlabelled identities with a single photograph each, as found material has them.
        test: Test identities, at least 4; each has 6 to 16 photographs.
        faces_per_identity: Mean of the heavy-tailed (log-normal) number of photographs of a labelled or unlabelled
            identity; the numbers themselves lie between 2 and 60.
        size: Width and height of a crop in pixels.
        difficulty: Scale of pose, light, noise, occlusion and changes of appearance; 0 is passport photographs.
        seed: Of everything.
        workers: Processes.

    Raises:
        InputError: An option out of its range.
    """
    _check(labelled, validation, unlabelled, strangers, test, faces_per_identity, size, difficulty, seed, workers)
    rng = _generator(seed, SPLITS["composition"])
    named = {
        name: _face_counts(rng, n, faces_per_identity)
        for name, n in [("labelled", labelled), ("validation", validation)]
    }
    counts = np.append(_face_counts(rng, unlabelled, faces_per_identity), np.ones(strangers, np.int64))
    tests, test_media, test_faces = _compose_test(rng, test)
    order = rng.permutation(counts.sum())
    owner = np.repeat(np.arange(len(counts)), counts)
    truth = np.empty(len(order), np.int64)
    truth[order] = owner
    parts = {
        name: [[f"id{identity:05d}/{number:03d}.jpg" for number in range(n)] for identity, n in enumerate(numbers)]
        for name, numbers in named.items()
    } | {
        "unlabelled": [[f"{place:06d}.jpg" for place in order[owner == i]] for i in range(len(counts))],
        "test": tests,
    }
    sittings = []
    for name, people in parts.items():
        for identity, names in enumerate(people):
            paths = tuple(out / name / file for file in names)
            media = test_media[identity] if name == "test" else tuple(range(len(names)))
            sittings.append(Sitting(seed, SPLITS[name], identity, size, difficulty, paths, media))
            paths[0].parent.mkdir(parents=True, exist_ok=True)
    take(sittings, workers)
    np.save(out / "unlabelled_truth.npy", truth, allow_pickle=False)
    (out / "protocol").mkdir()
    protocol = write_protocol(out / "protocol", test_faces, size, rng)
    contact_sheet(out / "labelled", out / "contact_sheet.png", size)
    faces = {name: sum(map(len, people)) for name, people in parts.items()}
    return {"faces": faces, "protocol": protocol}


def photograph(sitting: Sitting) -> int:
    """Takes and writes all photographs of one sitting; returns their number.

    Each has its own seed, from the corpus's seed, its part, identity and number, so that it comes out the same
    whichever process takes it and in whichever order.
    """
    person = draw_person(_generator(sitting.seed, sitting.split, sitting.identity))
    sitter = Sitter(person)
    shot, last = None, None
    for number, (path, media) in enumerate(zip(sitting.paths, sitting.media, strict=True), start=sitting.first):
        rng = _generator(sitting.seed, sitting.split, sitting.identity, number)
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


def _check(
    labelled: int,
    validation: int,
    unlabelled: int,
    strangers: int,
    test: int,
    faces: float,
    size: int,
    difficulty: float,
    seed: int,
    workers: int,
) -> None:
    for name, value, least, most in [
        ("labelled", labelled, 1, 10**5), ("validation", validation, 1, 10**5),
        ("unlabelled", unlabelled, 1, 10**5), ("strangers", strangers, 0, 10**6), ("test", test, 4, 10**5),
        ("faces_per_identity", faces, FEWEST, MOST), ("size", size, 32, 512), ("difficulty", difficulty, 0, 2),
        ("seed", seed, 0, 2**63), ("workers", workers, 1, 1024),
    ]:  # fmt: skip
        if not least <= value <= most:
            raise InputError(f"--{name} {value}: must lie between {least} and {most}")


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))


def _face_counts(rng: np.random.Generator, identities: int, mean: float) -> np.ndarray:
    """Heavy-tailed numbers of photographs, int64 [identities]."""
    normal = rng.lognormal(np.log(mean) - TAIL**2 / 2, TAIL, identities)
    return np.clip(np.rint(normal), FEWEST, MOST).astype(np.int64)


def _compose_test(
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
        for done in spread(photograph, sittings, workers, _prepare_worker):
            progress.update(done)


def _prepare_worker() -> None:
    """Keeps OpenCV from threads of its own beside those of the pool."""
    cv2.setNumThreads(1)
