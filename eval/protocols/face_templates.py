"""A protocol's faces to templates: which embedding each face has, its weight, and how templates were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.templates import Templates, pool
from eval.protocols.matching import match_faces
from eval.protocols.protocol import Protocol
from eval.protocols.tables import read_table
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import BLOCK_ROWS, InputError, load_array, load_keys, read_json

POINTS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "x5", "y5")


def pool_protocol(files: Protocol, embeddings: Path, norm: str, detector_scores: Path | None) -> Templates:
    """The templates of a protocol.

    Args:
        files: The protocol.
        embeddings: Embedding folder, or a .npy file.
        norm: ``removed`` or ``kept``: the length of a face's embedding.
        detector_scores: File of the faces' weights, see `load_scores`.

    Raises:
        InputError: Another `norm`, embeddings or scores that do not fit the faces, or no readable face at all.
    """
    if norm not in ("removed", "kept"):
        raise InputError(f"--norm {norm}; removed or kept")
    weights = load_scores(detector_scores, len(files.faces.template)) if detector_scores else None
    if norm == "kept":
        vectors = load_lengths(embeddings)
        names = embeddings / "keys.txt"
        keys = load_keys(names, len(vectors)) if names.exists() else None
    else:
        embedded = load_embeddings(embeddings)
        vectors, keys = embedded.embeddings, embedded.keys
    rows = match_faces(files.faces, keys, len(vectors), embeddings)
    templates = pool(vectors, rows, files.faces.template, files.faces.media, weights)
    if templates.empty == len(templates.ids):
        raise InputError(f"{embeddings}: every embedding of the protocol's faces is zero; nothing to compare")
    return templates


def template_options(files: Protocol, embeddings: Path, norm: str, detector_scores: Path | None) -> dict[str, Any]:
    """How the templates were made; whether mirrored faces went in is known where we embedded them."""
    meta = embeddings / "meta.json"
    flip = read_json(meta).get("config", {}).get("flip") if meta.exists() else None
    return {
        "layout": files.layout,
        "media": "mean of faces",
        "template": "sum of media, unit length",
        "norm": norm,
        "detector_scores": detector_scores is not None,
        "flip": flip,
    }


def load_lengths(path: Path) -> np.ndarray:
    """Embeddings as they are in the file, lengths kept; float [n, d], a memory map.

    Raises:
        InputError: No embeddings there, or NaN or infinite values.
    """
    file = path / "embeddings.npy" if path.is_dir() else path
    embeddings = load_array(file, kind="f", ndim=2)
    for start in range(0, len(embeddings), BLOCK_ROWS):
        bad = np.flatnonzero(~np.isfinite(embeddings[start : start + BLOCK_ROWS]).all(axis=1))
        if bad.size:
            raise InputError(f"{file}: row {start + bad[0]} has NaN or infinite values; recompute it")
    return embeddings


def load_scores(path: Path, faces: int) -> np.ndarray:
    """Reads a detector's score for each face, float64 [n], in the order of the protocol's faces.

    Args:
        path: A .npy file of floats, or a text file of insightface's layout: name, ten coordinates, score.
        faces: How many there must be.

    Raises:
        InputError: Missing or malformed, of another length, negative, NaN or infinite, or all 0.
    """
    if path.suffix == ".npy":
        scores = np.asarray(load_array(path, kind="f", ndim=1), dtype=np.float64)
    else:
        columns = {"name": "string", **dict.fromkeys((*POINTS, "score"), "float64")}
        scores = read_table(path, columns)["score"].to_numpy()
    if len(scores) != faces:
        raise InputError(f"{path}: {len(scores)} scores for {faces} faces of the protocol; one for each, in its order")
    bad = np.flatnonzero(~np.isfinite(scores) | (scores < 0))
    if bad.size:
        raise InputError(f"{path}: score {scores[bad[0]]} of face {bad[0]}; scores are finite and not negative")
    if not scores.any():
        raise InputError(f"{path}: every score is 0, so that no face has weight")
    return scores
