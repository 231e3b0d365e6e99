"""Embeddings of a face store, by one of our models or by a recogniser in ONNX.

Faces are embedded in blocks of a batch. Finished blocks are noted, so that an interrupted run goes on with the others;
of R processes that ``torchrun`` starts on a machine each takes every R-th of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facerec import distributed, processes
from facerec.artifacts import InputError, embedding_dtype, read_json, write_json, write_lines, write_table
from facerec.checkpoint import load_model
from facerec.dataset import resized
from facerec.device import autocast, choose_device, prepare_worker, to_input
from facerec.stages import stage
from facerec.store import Store, UnreadableFace, open_store

Embedder = Callable[[torch.Tensor], np.ndarray]
Unread = tuple[int, str, str]  # row, key, reason

NOTED_BLOCKS = 16  # are written to disk, then noted as finished


@stage("facerec embed", resumable=True, incidental=("batch_size", "workers", "device"), distributed=True)
def embed(
    model: Path,
    faces: Path,
    out: Path,
    flip: bool = True,
    precision: str = "auto",
    batch_size: int = 128,
    workers: int = 2,
    device: str = "auto",
    dtype: str = "float32",
) -> dict[str, float]:
    """Embeds every face of a store; interrupted, it goes on where it was.

    A face that cannot be read gets a zero row and a line in ``skipped.csv``. The length that a row had before it was
    made 1, which is larger for clearer faces, is in ``norms.npy``.

    Args:
        model: A folder that ``facerec train`` made, or a recogniser in ONNX (any of insightface's).
        faces: A face store.
        out: Folder for the embedding set.
        flip: Whether the mirrored face is embedded too and added before the length is made 1.
        precision: fp32, bf16 (autocast), or auto: bf16 on CUDA. A recogniser in ONNX has its own.
        batch_size: Faces at once.
        workers: Processes that read faces; 0 reads in this process.
        device: auto, cpu or cuda.
        dtype: Of what is written: float32, or float16, which takes half the disk.
    """
    written = embedding_dtype(dtype)
    if batch_size < 1 or workers < 0:
        raise InputError(f"--batch-size {batch_size} --workers {workers}; at least 1 and 0")
    place = choose_device(device)
    autocast(place, precision)
    store = open_store(faces)
    place = distributed.setup(place)
    embedder, size, dimension = load_embedder(model, place, precision)
    begun = _Begun(out, len(store), dimension, batch_size, written)
    blocks = np.flatnonzero(~begun.finished)
    started = time.perf_counter()
    _embed_blocks(begun, _Blocks(store, size, batch_size), blocks, embedder, flip, workers, model)
    processes.barrier()
    seconds = time.perf_counter() - started
    if not processes.is_main():
        return {}
    skipped = begun.end()
    if len(skipped) == len(store):
        _, key, reason = skipped[0]
        raise InputError(f"{faces}: none of its {len(store)} faces can be read, e.g. {key}: {reason}")
    write_lines(out / "keys.txt", store.keys)
    labels = store.labels
    if labels is not None:
        np.save(out / "labels.npy", labels)
    write_table(out / "skipped.csv", ("row", "key", "reason"), skipped)
    speed = min(len(blocks) * batch_size, len(store)) / seconds
    return {"faces": len(store), "skipped": len(skipped), "dimension": dimension, "faces_per_second": round(speed, 1)}


def _embed_blocks(
    begun: _Begun, faces: _Blocks, blocks: np.ndarray, embedder: Embedder, flip: bool, workers: int, model: Path
) -> None:
    """Embeds this rank's share of the blocks that are left."""
    blocks = blocks[processes.rank() :: processes.world_size()]
    loader = DataLoader(
        faces, batch_size=None, sampler=blocks.tolist(), num_workers=workers, worker_init_fn=prepare_worker
    )
    prepare_worker()
    with tqdm(
        total=min(len(blocks) * faces.batch_size, len(faces.store)), desc="embed", unit=" faces",
        disable=None if processes.is_main() else True,
    ) as bar:  # fmt: skip
        for block, (rows, images, unread) in zip(blocks, loader, strict=True):
            if len(rows):
                embeddings = embedder(images)
                if flip:
                    embeddings = embeddings + embedder(images.flip(2))
                if not np.all(np.isfinite(embeddings)):
                    raise InputError(
                        f"{model}: gives NaN or infinite embeddings; its weights are damaged, train it again"
                    )
                begun.put(rows.numpy(), embeddings)
            begun.note(block, unread)
            bar.update(len(rows) + len(unread))
    begun.save()


class _Begun:
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
        *_, noted = files
        if processes.is_main() and not (folder / noted).exists():
            self._clear()
            for name, (shape, kind) in files.items():
                np.lib.format.open_memmap(folder / name, "w+", kind, shape)
        processes.barrier()
        self.embeddings, self.norms, self.noted = (np.lib.format.open_memmap(folder / name, "r+") for name in files)
        self.finished = np.array(self.noted)
        self.blocks: list[int] = []
        self.unread: list[Unread] = []
        processes.barrier()  # before anyone notes a block

    def put(self, rows: np.ndarray, embeddings: np.ndarray) -> None:
        """Takes embeddings [b, d], not normalised, of rows int64 [b]."""
        embeddings = embeddings.astype(np.float32, copy=False)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        self.embeddings[rows] = embeddings / np.where(norms == 0, 1, norms)
        self.norms[rows] = norms[:, 0]

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

    def _clear(self) -> None:
        for pattern in ("finished_*.npy", "unread_*.json"):
            for file in self.folder.glob(pattern):
                file.unlink()


def load_embedder(model: Path, device: torch.device, precision: str = "auto") -> tuple[Embedder, int, int]:
    """Loads a model folder or an ONNX recogniser.

    Args:
        model: See `embed`.
        device: Where it runs.
        precision: See `facerec.device.autocast`; of a model folder.

    Returns:
        A function from uint8 RGB faces [n, size, size, 3] to float32 [n, d], not normalised; size; d.

    Raises:
        InputError: Neither, or a damaged one.
    """
    if model.suffix == ".onnx" and model.is_file():
        from facerec.detect import Recogniser  # slow to import, and not needed for our own models

        recogniser = Recogniser(model, device.type)
        return lambda faces: recogniser(faces.numpy()), recogniser.input_size, recogniser.embedding_size
    if not model.is_dir():
        raise InputError(f"{model}: no such model; give a folder made by facerec train, or an .onnx file")
    network, config = load_model(model)
    network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embedder(faces: torch.Tensor) -> np.ndarray:
        with autocast(device, precision):
            return network(to_input(faces, device)).float().cpu().numpy()

    return embedder, config["input_size"], config["embedding_size"]


class _Blocks(Dataset[tuple[np.ndarray, np.ndarray, list[tuple[int, str, str]]]]):
    """Consecutive faces of a store: rows, uint8 [n, size, size, 3] of the readable ones, and the others."""

    def __init__(self, store: Store, size: int, batch_size: int):
        self.store, self.size, self.batch_size = store, size, batch_size

    def __len__(self) -> int:
        return -(-len(self.store) // self.batch_size)

    def __getitem__(self, block: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, str, str]]]:
        if not 0 <= block < len(self):
            raise IndexError(block)
        start = block * self.batch_size
        rows, faces, unread = [], [], []
        for row in range(start, min(start + self.batch_size, len(self.store))):
            try:
                faces.append(resized(self.store.read(row), self.size))
                rows.append(row)
            except UnreadableFace as error:
                unread.append((row, error.key, error.reason))
        images = np.stack(faces) if faces else np.empty((0, self.size, self.size, 3), np.uint8)
        return np.array(rows, np.int64), images, unread
