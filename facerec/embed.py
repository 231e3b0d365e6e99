"""Embeddings of a face store, by one of our models or by a recogniser in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facerec.artifacts import InputError, normalize, write_lines, write_table
from facerec.checkpoint import load_model
from facerec.dataset import resized
from facerec.device import autocast, choose_device, prepare_worker, to_input
from facerec.stages import stage
from facerec.store import Store, UnreadableFace, open_store

Embedder = Callable[[torch.Tensor], np.ndarray]


@stage("facerec embed", incidental=("batch_size", "workers", "device"))
def embed(
    model: Path,
    faces: Path,
    out: Path,
    flip: bool = True,
    batch_size: int = 128,
    workers: int = 2,
    device: str = "auto",
) -> dict[str, int]:
    """Embeds every face of a store.

    A face that cannot be read gets a zero row and a line in ``skipped.csv``.

    Args:
        model: A folder that ``facerec train`` made, or a recogniser in ONNX (any of insightface's).
        faces: A face store.
        out: Folder for the embedding set.
        flip: Whether the mirrored face is embedded too and added before the length is made 1.
        batch_size: Faces at once.
        workers: Processes that read faces; 0 reads in this process.
        device: auto, cpu or cuda.
    """
    if batch_size < 1 or workers < 0:
        raise InputError(f"--batch-size {batch_size} --workers {workers}; at least 1 and 0")
    place = choose_device(device)
    store = open_store(faces)
    embedder, size, dimension = load_embedder(model, place)
    array = np.lib.format.open_memmap(
        out / "embeddings.npy", mode="w+", dtype=np.float32, shape=(len(store), dimension)
    )
    loader = DataLoader(
        _Blocks(store, size, batch_size), batch_size=None, num_workers=workers, worker_init_fn=prepare_worker
    )
    skipped: list[tuple[int, str, str]] = []
    prepare_worker()
    with tqdm(total=len(store), desc="embed", unit=" faces", disable=None) as bar:
        for rows, images, unread in loader:
            skipped += unread
            if len(rows):
                embeddings = embedder(images)
                if flip:
                    embeddings = embeddings + embedder(images.flip(2))
                array[rows.numpy()] = _unit(embeddings, model)
            bar.update(len(rows) + len(unread))
    if len(skipped) == len(store):
        _, key, reason = skipped[0]
        raise InputError(f"{faces}: none of its {len(store)} faces can be read, e.g. {key}: {reason}")
    array.flush()
    write_lines(out / "keys.txt", store.keys)
    labels = store.labels
    if labels is not None:
        np.save(out / "labels.npy", labels)
    write_table(out / "skipped.csv", ("row", "key", "reason"), skipped)
    return {"faces": len(store), "skipped": len(skipped), "dimension": dimension}


def load_embedder(model: Path, device: torch.device) -> tuple[Embedder, int, int]:
    """Loads a model folder or an ONNX recogniser.

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
        with autocast(device):
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


def _unit(embeddings: np.ndarray, model: Path) -> np.ndarray:
    if not np.all(np.isfinite(embeddings)):
        raise InputError(f"{model}: gives NaN or infinite embeddings; its weights are damaged, train it again")
    return normalize(embeddings)
