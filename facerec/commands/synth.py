"""The command ``synth``: a corpus of rendered faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facerec.pipeline.files import InputError
from facerec.pipeline.stage import Results, stage
from facerec.rendering.corpus import (
    FEWEST,
    MOST,
    SPLITS,
    Sitting,
    compose_test,
    contact_sheet,
    face_counts,
    generator_of,
    take,
)
from facerec.rendering.ijb_files import write_protocol


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
    rng = generator_of(seed, SPLITS["composition"])
    named = {
        name: face_counts(rng, n, faces_per_identity)
        for name, n in [("labelled", labelled), ("validation", validation)]
    }
    counts = np.append(face_counts(rng, unlabelled, faces_per_identity), np.ones(strangers, np.int64))
    tests, test_media, test_faces = compose_test(rng, test)
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
