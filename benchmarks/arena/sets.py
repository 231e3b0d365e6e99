"""Test sets by YAML: which faces, how they are changed, and the labelled faces that go with them.

    title: LFW, one to eight faces a person
    recogniser: MobileFaceNet
    dimensions: 48                       # optional: a random projection of both
    test:
      faces: embeddings_lfw.npz          # embeddings [n, d], labels [n]; or a folder as embed makes it
      truth: identities.npy              # of a folder without labels.npy
      without: people.txt                # folders of the archive's `files` to leave out, one a line
      part: [2, 2]                       # the second half of the identities
      faces_per_person: [1, 8]           # so many at random, and no more than there are
      version: large                     # simulated from these faces, see clustering.learning.versions
    labelled:                            # the same keys: other people by the same recogniser, for tuning
      faces: embeddings_celeba.npz

Paths are relative to the data root or to the working directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces, labelled, load_labelled
from clustering.learning.versions import random_places, versions
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, read_yaml

SETS = Path(__file__).parent / "sets"
NEIGHBORS = 256
SEED = 0


@dataclass(frozen=True)
class Source:
    """Where faces come from and which of them are used; the docstring of this module explains the keys."""

    faces: str
    truth: str | None = None
    without: str | None = None
    part: tuple[int, int] | None = None
    faces_per_person: tuple[int, int] | None = None
    version: str | None = None


@dataclass(frozen=True)
class TestSet:
    """Faces to cluster, and labelled faces of other people by the same recogniser.

    Attributes:
        name: Name of its YAML file.
        title: Name in tables.
        recogniser: Name of the recogniser in tables.
        faces: Unit rows, and identities that only the scores use.
        length: Median length of the embeddings before they were normalised.
        labelled: Labelled faces to tune on, or None.
        key: Fingerprint of the faces and identities.
        labelled_key: Fingerprint of the labelled faces; empty if there are none.
    """

    name: str
    title: str
    recogniser: str
    faces: LabelledFaces
    length: float
    labelled: LabelledFaces | None
    key: str
    labelled_key: str

    @cached_property
    def graph(self) -> KnnGraph:
        """The exact graph, with as many neighbours as any method looks at."""
        return KnnGraph.build(self.faces.embeddings, min(NEIGHBORS, len(self.faces.labels) - 1))

    @property
    def people(self) -> int:
        """Number of identities."""
        return len(np.unique(self.faces.labels))


def fingerprint(faces: LabelledFaces, dimensions: int | None) -> str:
    """A short hash of the faces and identities before their projection, and the dimensions they are projected to.

    The projected values are not hashed, because their last bits change with the number of threads.
    """
    digest = hashlib.sha256(np.ascontiguousarray(faces.embeddings).tobytes())
    digest.update(np.ascontiguousarray(faces.labels).tobytes())
    return digest.hexdigest()[:12] + (f" in {dimensions} dimensions" if dimensions else "")


def read_set(path: Path, root: Path) -> TestSet:
    """Reads a set.

    Args:
        path: Its YAML file.
        root: Folder that relative paths begin at. Paths that do not exist there begin at the working directory.

    Raises:
        InputError: Unknown keys, or faces that are missing or cannot be used; one line says which.
    """
    content = read_yaml(path)
    unknown = set(content) - {"title", "recogniser", "dimensions", "test", "labelled"}
    if unknown or "test" not in content:
        raise InputError(f"{path}: keys {', '.join(sorted(unknown)) or 'without test'}; see benchmarks/arena/sets.py")
    faces, length = _read(path, content["test"], root)
    tuning = _read(path, content["labelled"], root)[0] if content.get("labelled") else None
    dimensions = content.get("dimensions")
    keys = [fingerprint(each, dimensions) if each else "" for each in (faces, tuning)]
    if dimensions:
        faces = projected(faces, dimensions)
        tuning = projected(tuning, dimensions) if tuning else None
    title, recogniser = content.get("title", path.stem), content.get("recogniser", "")
    return TestSet(path.stem, title, recogniser, faces, length, tuning, *keys)


def _read(file: Path, keys: Mapping[str, Any], root: Path) -> tuple[LabelledFaces, float]:
    """The faces of a source after its changes, and the median length of the embeddings."""
    try:
        source = Source(**keys)
    except TypeError as error:
        raise InputError(f"{file}: {error}; see benchmarks/arena/sets.py") from None
    faces, names, length = _load(source, root)
    if source.without:
        left_out = _found(source.without, root).read_text(encoding="utf-8").split()
        if names is None:
            raise InputError(f"{file}: 'without' needs an archive with 'files'; {source.faces} has none")
        kept = ~np.isin([Path(str(name)).parent.name for name in names], left_out)
        faces = LabelledFaces(faces.embeddings[kept], faces.labels[kept])
    return changed(faces, source), length


def _load(source: Source, root: Path) -> tuple[LabelledFaces, np.ndarray | None, float]:
    """Faces as unit rows, the files' names if there are any, and the median length."""
    path = _found(source.faces, root)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            raw, labels = archive["embeddings"], archive["labels"]
            names = archive["files"] if "files" in archive.files else None
        return labelled(raw, labels), names, float(np.median(np.linalg.norm(raw.astype(np.float32), axis=1)))
    return load_labelled(path, _found(source.truth, root) if source.truth else None), None, 1.0


def _found(name: str, root: Path) -> Path:
    for path in (root / name, Path(name)):
        if path.exists():
            return path
    raise InputError(f"no {root / name}; give --root or make it")


def changed(faces: LabelledFaces, source: Source) -> LabelledFaces:
    """The part, the number of faces a person or the version that a source asks for."""
    random = np.random.default_rng(SEED)
    if source.part:
        number, parts = source.part
        people = np.array_split(random.permutation(np.unique(faces.labels)), parts)[number - 1]
        chosen = np.isin(faces.labels, people)
        faces = LabelledFaces(faces.embeddings[chosen], faces.labels[chosen])
    if source.faces_per_person:
        faces = thinned(faces, *source.faces_per_person, random)
    if source.version:
        faces = versions(faces, SEED)[source.version]
    return faces


def thinned(faces: LabelledFaces, low: int, high: int, random: np.random.Generator) -> LabelledFaces:
    """From `low` to `high` faces of every identity, as evenly drawn; all of those with fewer."""
    _, inverse, sizes = np.unique(faces.labels, return_inverse=True, return_counts=True)
    wanted = random.integers(low, high + 1, len(sizes))
    kept = random_places(inverse, random) < wanted[inverse]
    return LabelledFaces(faces.embeddings[kept], faces.labels[kept])


def projected(faces: LabelledFaces, dimensions: int) -> LabelledFaces:
    """Projects the faces onto random orthogonal directions, the same for all sets of one dimension."""
    random = np.random.default_rng(SEED)
    directions = np.linalg.qr(random.normal(size=(faces.embeddings.shape[1], dimensions)))[0].astype(np.float32)
    return LabelledFaces(normalize(faces.embeddings @ directions), faces.labels)
