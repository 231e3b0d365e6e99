"""Embeddings of a face store, by one of our models or by a recogniser in ONNX.

Faces are embedded in blocks of a batch. Finished blocks are noted, so an interrupted run goes on with the others. Of R
processes that ``torchrun`` starts on a machine each takes every R-th block.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from facerec.devices.device import as_a_worker
from facerec.devices.loader import read_ahead
from facerec.pipeline import ranks
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import new_array, read_json, write_json
from facerec.pipeline.progress import progress
from facerec.recognisers.recogniser import Recogniser
from facerec.stores.pixels import resized
from facerec.stores.store import Store, UnreadableFace

logger = logging.getLogger(__name__)

Unread = tuple[int, str, str]  # row, key, reason

NOTHING = "the recogniser gives NaN or infinite values, or only zeros"
"""Why a face counts as unreadable that was read."""

NOTED_BLOCKS = 16  # are written to disk, then noted as finished


def embed_blocks(
    begun: EmbeddingFiles, faces: FaceBlocks, blocks: np.ndarray, recogniser: Recogniser, flip: bool, workers: int
) -> None:
    """Embeds this rank's share of the blocks that are left.

    Args:
        begun: Takes the embeddings.
        faces: By block.
        blocks: int64 [b], which of them.
        recogniser: Embeds them.
        flip: See `Recogniser.embed`.
        workers: Processes that read faces; 0 reads in this process.

    Raises:
        InputError: As of `read_ahead`, and an `ObstacleError` if the faces cannot be reached any more.
    """
    blocks = blocks[ranks.rank() :: ranks.world_size()]
    loader = read_ahead(faces, blocks.tolist(), workers)
    total = min(len(blocks) * faces.batch_size, len(faces.store))
    with as_a_worker(), progress(None, "embed", "faces", total, hidden=not ranks.is_main()) as bar:
        for block, (rows, images, unread) in zip(blocks, loader, strict=True):
            if unread:
                faces.store.refuse_if_gone()
            if len(rows):
                found = recogniser.unchecked(images.numpy(), flip)
                fine = np.isfinite(found).all(axis=1) & found.any(axis=1)
                begun.put(rows.numpy()[fine], found[fine])
                unread += [(row, faces.store.keys[row], NOTHING) for row in rows.numpy()[~fine].tolist()]
            begun.note(block, unread)
            bar.update(len(faces.rows_of(block)))
    begun.save()


class EmbeddingFiles:
    """The files of an embedding set that is being made, and what of it is finished.

    Attributes:
        finished: Bool [blocks], of the runs before this one.

    Args:
        folder: For the files.
        faces: Number of rows.
        dimension: Length of a row.
        batch_size: Rows of a block. What was begun with other blocks is not gone on with.
        dtype: Of the embeddings.
    """

    def __init__(self, folder: Path, faces: int, dimension: int, batch_size: int, dtype: np.dtype):
        self.folder = folder
        files: dict[str, tuple[tuple[int, ...], Any]] = {
            "embeddings.npy": ((faces, dimension), dtype), "norms.npy": ((faces,), np.float32),
            f"finished_{batch_size}.npy": ((-(-faces // batch_size),), np.bool_),
        }  # fmt: skip
        if ranks.is_main() and not self._are_whole({name: shape for name, (shape, _) in files.items()}):
            if self._clear():
                logger.warning("%s: was begun with another --batch-size, or is damaged; it starts afresh", folder)
            for name, (shape, kind) in files.items():
                new_array(folder / name, kind, shape)
        ranks.barrier()
        self.embeddings, self.norms, self.noted = (np.lib.format.open_memmap(folder / name, "r+") for name in files)
        self.finished = np.array(self.noted)
        self.blocks: list[int] = []
        self.unread: list[Unread] = []
        ranks.barrier()  # before anyone notes a block

    def _are_whole(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether an earlier run has made the files, of these shapes, and a kill has cut none of them."""
        try:
            for file in self.folder.glob("unread_*.json"):
                read_json(file)
            return all(np.load(self.folder / name, mmap_mode="r").shape == shape for name, shape in shapes.items())
        except (OSError, ValueError, EOFError):
            return False

    def put(self, rows: np.ndarray, embeddings: np.ndarray) -> None:
        """Takes embeddings [b, d], not normalised, of rows int64 [b]."""
        self.embeddings[rows] = normalize(embeddings)
        self.norms[rows] = np.linalg.norm(embeddings.astype(np.float64), axis=1)

    def note(self, block: int, unread: list[Unread]) -> None:
        """Takes a block for finished, with its faces that could not be read."""
        self.blocks.append(block)
        self.unread += unread
        if len(self.blocks) == NOTED_BLOCKS:
            self.save()

    def save(self) -> None:
        """Writes to disk what was put and noted, in this order."""
        self.embeddings.flush()
        self.norms.flush()
        if self.unread:
            write_json(self.folder / f"unread_{self.blocks[0]}.json", self.unread)
        self.noted[self.blocks] = True
        self.noted.flush()
        self.blocks, self.unread = [], []

    def end(self) -> list[Unread]:
        """Removes the notes; gives the faces that could not be read, by row."""
        unread = {tuple(face) for file in self.folder.glob("unread_*.json") for face in read_json(file)}
        self._clear()
        return sorted(unread)

    def _clear(self) -> bool:
        """Removes the notes; gives whether there were any."""
        notes = [file for pattern in ("finished_*.npy", "unread_*.json") for file in self.folder.glob(pattern)]
        for file in notes:
            file.unlink()
        return bool(notes)


class FaceBlocks(Dataset[tuple[np.ndarray, np.ndarray, list[Unread]]]):
    """Consecutive faces of a store: rows, uint8 [n, size, size, 3] of the readable ones, and the others."""

    def __init__(self, store: Store, size: int, batch_size: int):
        self.store, self.size, self.batch_size = store, size, batch_size

    def __len__(self) -> int:
        return -(-len(self.store) // self.batch_size)

    def rows_of(self, block: int) -> range:
        """The rows of a block."""
        return range(block * self.batch_size, min((block + 1) * self.batch_size, len(self.store)))

    def __getitem__(self, block: int) -> tuple[np.ndarray, np.ndarray, list[Unread]]:
        if not 0 <= block < len(self):
            raise IndexError(block)
        rows, faces, unread = [], [], []
        for row in self.rows_of(block):
            try:
                faces.append(resized(self.store.read(row), self.size))
                rows.append(row)
            except UnreadableFace as error:
                unread.append((row, error.key, error.reason))
        images = np.stack(faces) if faces else np.empty((0, self.size, self.size, 3), np.uint8)
        return np.array(rows, np.int64), images, unread
