"""The command ``review``: a page on which a person looks at clusters and decides about them."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from clustering.base import consecutive, load_confidence
from clustering.cluster import PRETRAINED, graph_of
from clustering.decisions import labels_hash
from clustering.doubt import Arrangement, arrange, candidates, duplicates, merges, parts
from clustering.hilander.confidence import Confidence
from clustering.levels import Hierarchy
from clustering.thumbnails import COLUMNS, Thumbnails
from facerec.artifacts import (
    EmbeddingSet,
    InputError,
    blocks,
    load_embeddings,
    load_labels,
    read_yaml,
    write_lines,
)
from facerec.stages import stage

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "templates"
PAGE_FILES = ("review.html", "review.css", "clusters.js", "decisions.js", "cards.js", "review.js")
KEYS = 4096
"""Names of faces in one script."""
PAIRS = 5000
"""Most pairs of clusters and most merges that the page shows."""
QUALITY = 85


@stage("clustering review")
def review(
    clusters: Path,
    embeddings: Path,
    thumbnails: Path,
    out: Path,
    hierarchy: Path | None = None,
    knn: Path | None = None,
    title: str = "Cluster review",
) -> Mapping[str, Any]:
    """Writes a page to look through clusters, keep, split, merge and drop them: open OUT/review.html in a browser.

    What it saves, decisions.json, is applied by `pseudolabel --decisions`.

    Args:
        clusters: Folder made by cluster or cut, or a .npy file of labels.
        embeddings: What was clustered: folder with embeddings.npy, or such a file.
        thumbnails: Folder made by python -m facerec thumbnails from the same faces.
        out: Folder to make: review.html and what it shows.
        hierarchy: Folder made by cluster with a hierarchical backend, of which the clusters are a level; without it
            the clusters' own levels, if they have any.
        knn: Graph of the embeddings, a folder made by knn: used for clusters of a backend that has no opinion of its
            own on how sure they are; without it the graph is built here.
        title: The page's heading.
    """
    labels = load_labels(clusters)
    faces = load_embeddings(embeddings, rows=len(labels))
    pictures = Thumbnails.load(thumbnails)
    _check(clusters, labels, faces, pictures)
    levels = _levels(clusters, hierarchy, len(labels))
    found = arrange(faces.embeddings, labels, _confidence(clusters, labels, faces, knn, out))
    content = {"title": title, "clustering": labels_hash(labels), "thumbnail": pictures.size, "columns": COLUMNS,
               "keys": KEYS, **_content(faces.embeddings, found, levels)}  # fmt: skip
    for name in PAGE_FILES:
        shutil.copyfile(PAGE / name, out / name)
    _write_script(out / "data.js", f"window.REVIEW = {json.dumps(content)};")
    _write_keys(out / "keys", [pictures.keys[row] for row in found.rows.tolist()])
    _write_sheets(out / "sheets", pictures, found.rows)
    return {"clusters": len(found.names), "faces": len(found.rows), "levels": len(levels)}


def _check(clusters: Path, labels: np.ndarray, faces: EmbeddingSet, pictures: Thumbnails) -> None:
    if len(pictures) != len(labels):
        raise InputError(f"{pictures.path}: {len(pictures)} thumbnails for {len(labels)} faces in {clusters}")
    if labels.max() < 0:
        raise InputError(f"{clusters}: every face is unassigned (-1); there is no cluster to review")
    if faces.keys is not None and faces.keys != pictures.keys:
        row = next(row for row, pair in enumerate(zip(faces.keys, pictures.keys, strict=True)) if pair[0] != pair[1])
        raise InputError(
            f"{pictures.path}: face {row} is {pictures.keys[row]!r}, but {faces.keys[row]!r} in {faces.path}; "
            "make thumbnails of the faces that were embedded"
        )


def _levels(clusters: Path, hierarchy: Path | None, rows: int) -> list[np.ndarray]:
    """The labels of each level, finest first; none if there is no hierarchy."""
    if hierarchy is None and not (clusters / "levels").is_dir():
        return []
    levels = [np.asarray(level["labels"]) for level in Hierarchy.load(hierarchy or clusters).levels]
    if len(levels[0]) != rows:
        raise InputError(f"{hierarchy}: a hierarchy of {len(levels[0])} faces, but {rows} in {clusters}")
    return levels


def _confidence(clusters: Path, labels: np.ndarray, faces: EmbeddingSet, knn: Path | None, out: Path) -> np.ndarray:
    """The clustering's own confidence; if it has no opinion, an estimate by the function of the package's model."""
    confidence = load_confidence(clusters, len(labels))
    if confidence is not None and np.any(confidence[labels >= 0] < 1):
        return confidence
    logger.info("%s: no confidence of its own; it is estimated", clusters)
    settings = read_yaml(PRETRAINED["hilander"] / "config.yaml")
    function = Confidence.of_settings(PRETRAINED["hilander"] / "config.yaml", settings["confidence"])
    k = int(settings["k"])
    return function.of_faces(graph_of(faces, knn, k, out).narrowed(k), consecutive(labels))


def _content(embeddings: np.ndarray, clusters: Arrangement, levels: Sequence[np.ndarray]) -> dict[str, Any]:
    """What the page knows, arrays packed."""
    near = candidates(clusters)
    pairs, similarity = duplicates(near)
    divisions = [parts(clusters, level) for level in levels]
    doubtful = merges(embeddings, clusters, divisions)
    return {
        "names": _ints(clusters.names), "sizes": _ints(clusters.sizes), "confidence": _floats(clusters.confidence),
        "cohesion": _floats(clusters.cohesion), "rows": _ints(clusters.rows), "fit": _floats(clusters.fit),
        "near": {"count": near.places.shape[1], "places": _ints(near.places), "similarity": _floats(near.similarity)},
        "pairs": {"places": _ints(pairs[:PAIRS]), "similarity": _floats(similarity[:PAIRS])},
        "levels": [_level(clusters, *each) for each in zip(levels, divisions, strict=True)],
        "merges": {name: (_floats if column.dtype.kind == "f" else _ints)(column[:PAIRS])
                   for name, column in zip(doubtful._fields, doubtful, strict=True)},
    }  # fmt: skip


def _level(clusters: Arrangement, level: np.ndarray, division: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """A level as the page reads it: parts of each cluster, the part of each face, the group that each cluster is in."""
    part, count = division
    first = clusters.rows[np.cumsum(clusters.sizes) - clusters.sizes]
    return {
        "count": _ints(count),
        "part": _ints(part) if np.any(count > 1) else "",
        "group": _ints(np.where(count == 1, level[first], -1)),
    }


def _ints(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<i4").tobytes()).decode("ascii")


def _floats(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode("ascii")


def _write_script(path: Path, text: str) -> None:
    """Writes JavaScript in ASCII: json.dumps has escaped everything else."""
    write_lines(path, [text])


def _write_keys(folder: Path, keys: Sequence[str]) -> None:
    """Writes the faces' names, in the order of the page, in scripts of `KEYS` each."""
    folder.mkdir()
    for number, start in enumerate(range(0, len(keys), KEYS)):
        names = json.dumps(keys[start : start + KEYS])
        _write_script(folder / f"{number:05d}.js", f"window.REVIEW.named({number}, {names});")


def _write_sheets(folder: Path, pictures: Thumbnails, rows: np.ndarray) -> None:
    """Writes the faces, in the order of the page, as sheets of COLUMNS by COLUMNS thumbnails."""
    folder.mkdir()

    def write(item: tuple[int, np.ndarray]) -> None:
        number, some = item
        encoded = cv2.imencode(".jpg", pictures.sheet(some), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        (folder / f"{number:05d}.jpg").write_bytes(encoded.tobytes())

    sheets = list(enumerate(blocks(rows, COLUMNS * COLUMNS)))
    with ThreadPoolExecutor(2) as pool:
        for _ in tqdm(pool.map(write, sheets), "sheets", len(sheets), unit=" sheets", disable=None):
            pass
