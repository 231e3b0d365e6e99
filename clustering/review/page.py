"""The review page: a folder with a page on which a person looks at clusters and decides about them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clustering.answers.file import keys_hash
from clustering.answers.page import DOWNLOAD
from clustering.review.decisions import labels_hash
from clustering.review.doubt import Arrangement, arrange, duplicates, merges, nearest_clusters, parts
from facerec.pipeline.files import blocks, row_blocks, write_lines
from facerec.pipeline.progress import progress
from facerec.pipeline.thumbnails import COLUMNS, Thumbnails

ASSETS = Path(__file__).parent / "assets"
"""The page's files beside `DOWNLOAD`; review.html names them in their order."""
KEYS = 4096
"""Names of faces in one script."""
PAIRS = 5000
"""Most pairs of clusters and most merges that the page shows."""
QUALITY = 85
"""Of the sheets' JPEG files."""
LARGEST = 1 << 30
"""Above the numbers of clusters that the page holds, as int32."""


@dataclass(frozen=True)
class Frame:
    """What a page has beside clusters.

    Attributes:
        title: Its heading.
        commands: What uses the decisions that are saved on it, for a shell.
        proposed: Decisions that it has when it is first opened, see `clustering.review.decision_files`.
        earlier: Answers that the clusters were made with, by rows. What it saves has those that still hold.
    """

    title: str
    commands: Sequence[str] = ()
    proposed: Sequence[Mapping[str, Any]] = ()
    earlier: Sequence[Mapping[str, Any]] = ()


def write_page(
    out: Path,
    frame: Frame,
    embeddings: np.ndarray,
    labels: np.ndarray,
    confidence: np.ndarray,
    levels: Sequence[np.ndarray],
    pictures: Thumbnails,
) -> Arrangement:
    """Writes the page into an existing folder: review.html is opened in a browser.

    Args:
        out: The folder.
        frame: What it has beside clusters.
        embeddings: float32 [n, d], unit or zero rows.
        labels: int64 [n], the clusters; -1 for unassigned. At least one face is assigned.
        confidence: float32 [n] in [0, 1], see `arrange`.
        levels: int64 [n] each, of the hierarchy that the clusters are a level of, finest first; or none.
        pictures: Pictures of the n faces.

    Returns:
        The clusters as the page shows them.
    """
    clusters = arrange(embeddings, labels, confidence)
    clustering, faces = labels_hash(labels), keys_hash(pictures.keys)
    proposed = list(frame.proposed)
    begun = f":{hashlib.sha256(json.dumps(proposed).encode()).hexdigest()}" if proposed else ""
    content = {"title": frame.title, "clustering": clustering, "faces": faces,
               "stored": f"review:{clustering}:{faces}{begun}",
               "thumbnail": pictures.size, "columns": COLUMNS,
               "keys": KEYS, "commands": list(frame.commands), "proposed": proposed,
               "earlier": list(frame.earlier),
               **page_content(embeddings, clusters, levels)}  # fmt: skip
    for path in (DOWNLOAD, *ASSETS.iterdir()):
        shutil.copyfile(path, out / path.name)
    _write_script(out / "data.js", f"window.REVIEW = {json.dumps(content)};")
    _write_keys(out / "keys", [pictures.keys[row] for row in clusters.rows.tolist()])
    _write_sheets(out / "sheets", pictures, clusters.rows)
    return clusters


def page_content(embeddings: np.ndarray, clusters: Arrangement, levels: Sequence[np.ndarray]) -> dict[str, Any]:
    """What the page knows, arrays packed."""
    near = nearest_clusters(clusters)
    pairs, similarity = duplicates(near, clusters.sizes)
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
    for number, some in enumerate(row_blocks(len(keys), KEYS)):
        names = json.dumps(keys[some])
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
        for _ in progress(pool.map(write, sheets), "sheets", "sheets", len(sheets)):
            pass
