"""What the commands of `interruptions` work on: small, and yet so much that a signal finds them at work."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from common import DATA

PEOPLE, PICTURES, SIDE = 40, 30, 64
MANY, DIMENSION, TEST_PEOPLE, PHOTOGRAPHS = 12_000, 64, 120, 12


def make_inputs(folder: Path) -> Path:
    """Makes all inputs in a new folder."""
    folder.mkdir(parents=True)
    faces = make_faces(folder / "faces")
    make_network(folder / "network")
    truth = np.repeat(np.arange(PEOPLE), PICTURES)
    keys = [path.relative_to(faces).as_posix() for path in sorted(faces.glob("*/*"))]
    make_embeddings(folder / "own", truth, keys)
    make_embeddings(folder / "many", np.arange(MANY) // 12)
    make_evaluation(folder)
    make_by_commands(folder)
    if (DATA / "wild").is_dir() and (DATA / "weights").is_dir():
        (folder / "photographs").mkdir()
        for photograph in sorted((DATA / "wild").glob("*.jpg"))[:PHOTOGRAPHS]:
            shutil.copy(photograph, folder / "photographs")
    return folder


def make_faces(folder: Path) -> Path:
    """A folder a person, of blurred patterns with noise."""
    generator = np.random.default_rng(0)
    for person in range(PEOPLE):
        (folder / f"person{person:02d}").mkdir(parents=True)
        pattern = cv2.resize(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8), (SIDE, SIDE))
        for number in range(PICTURES):
            noisy = np.clip(pattern + generator.integers(-20, 21, pattern.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"person{person:02d}" / f"{number:02d}.jpg"), noisy)
    return folder


def make_network(folder: Path) -> None:
    """A small recogniser with random weights."""
    from facerec.backbones import build
    from facerec.recognisers.model_folder import save_model

    folder.mkdir()
    config = {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 16}
    save_model(folder, build("mobilefacenet", 16, 32, 0.125), config)


def make_embeddings(folder: Path, truth: np.ndarray, keys: list[str] | None = None) -> None:
    """Rows around a random centre for each person."""
    from facerec.pipeline.embeddings import normalize, save_embeddings

    folder.mkdir()
    generator = np.random.default_rng(1)
    centres = normalize(generator.normal(size=(truth.max() + 1, DIMENSION)))
    noise = generator.normal(size=(len(truth), DIMENSION)) / np.sqrt(DIMENSION)
    save_embeddings(folder, normalize(centres[truth] + noise), keys, truth)


def make_evaluation(folder: Path) -> None:
    """A protocol in the layout of IJB-C, and embeddings of its faces."""
    from facerec.rendering.composition import compose_test
    from facerec.rendering.ijb_files import write_protocol

    generator = np.random.default_rng(2)
    faces = compose_test(generator, TEST_PEOPLE)[2]
    (folder / "protocol").mkdir()
    write_protocol(folder / "protocol", faces, 112, generator)
    make_embeddings(folder / "test", np.array([face.subject for face in faces]), [face.key for face in faces])


def make_by_commands(folder: Path) -> None:
    """A graph, clusters, thumbnails and reports."""
    from clustering.commands.cluster import cluster
    from clustering.commands.knn import knn
    from eval.commands.ijb import ijb
    from facerec.commands.thumbnails import thumbnails

    graph = knn(folder / "many", folder / "knn")
    cluster("hilander", folder / "many", folder / "clusters", knn=graph)
    thumbnails(folder / "faces", folder / "thumbnails")
    for name, seed in (("ijb", 0), ("ijb2", 0)):
        ijb(folder / "protocol", folder / "test", folder / name, bootstrap=50, seed=seed)
