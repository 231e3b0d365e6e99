"""A look at some faces of a store before all are embedded: whether they are crops, and the recogniser made for them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError, read_json
from facerec.recognisers.recogniser import Recogniser
from facerec.recognisers.shapes import about_shapes
from facerec.stores.pixels import resized
from facerec.stores.store import Store, UnreadableFace

LOOKED_AT, COMPARED = 48, 16


def doubts_about(store: Store, recogniser: Recogniser) -> Iterator[str]:
    """What a person should be told, a line each; nothing where all looks right.

    Args:
        store: Of which `LOOKED_AT` faces, evenly spaced, are read.
        recogniser: Embeds `COMPARED` of them.
    """
    faces = _some_faces(store)
    yield from about_shapes(faces)
    yield from _about_border(store, recogniser.input_size)
    some = [resized(face, recogniser.input_size) for face in faces[:: max(1, len(faces) // COMPARED)]]
    if len(some) > 2:
        yield from _about_embeddings(np.stack(some), recogniser)


def doubts_about_shapes(store: Store) -> Iterator[str]:
    """As `doubts_about`, of the shapes alone."""
    yield from about_shapes(_some_faces(store))


def _some_faces(store: Store) -> list[np.ndarray]:
    """The readable ones of `LOOKED_AT` faces, evenly spaced."""
    rows = np.unique(np.linspace(0, len(store) - 1, min(LOOKED_AT, len(store))).astype(int))
    return [face for row in rows if (face := _read(store, int(row))) is not None]


def _about_border(store: Store, size: int) -> Iterator[str]:
    """Crops of 128 pixels have a wider border than those of 112, see `facerec.alignment.crop.align_face`."""
    folder = store.path if store.path.is_dir() else store.path.parent
    try:
        noted = read_json(folder / "meta.json")
        side = int(noted["config"]["size"]) if noted["command"] == "facerec align" else size
    except (InputError, KeyError, TypeError, ValueError):
        return
    if side % 112 and not size % 112:
        yield (
            f"align made crops of {side} pixels, with a wider border than those of 112 have; a recogniser for {size} "
            "pixels matches them worse, unless it was trained on such: align with --size 112"
        )


def _about_embeddings(faces: np.ndarray, recogniser: Recogniser) -> Iterator[str]:
    """Two views of one face, the second mirrored, must be more alike than faces of different pictures."""
    views = [recogniser.unchecked(side, flip=False) for side in (faces, faces[:, :, ::-1])]
    fine = np.isfinite(views).all(axis=(0, 2))
    if np.count_nonzero(fine) < 2:
        raise InputError(f"{recogniser.name}: gives NaN or infinite embeddings; its weights are damaged")
    plain, mirrored = (normalize(side[fine]) for side in views)
    same = float(np.mean(np.einsum("nd,nd->n", plain, mirrored)))
    others = (plain @ plain.T)[~np.eye(len(plain), dtype=bool)]
    if same <= float(np.mean(others)) + 1e-3:
        yield (
            f"two views of one picture (cosine {same:.3f}) are no more alike than two pictures ({others.mean():.3f}); "
            "is this recogniser trained, and made for such input? for ONNX see --mean, --std and --channels"
        )


def _read(store: Store, row: int) -> np.ndarray | None:
    try:
        return store.read(row)
    except UnreadableFace:
        return None
