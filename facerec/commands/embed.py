"""The command ``embed``: faces to embeddings."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from facerec.devices import collectives
from facerec.devices.device import choose_device
from facerec.pipeline import ranks
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import save_names
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.stage import stage
from facerec.recognisers.embedding_run import EmbeddingFiles, FaceBlocks, embed_blocks
from facerec.recognisers.first_look import doubts_about
from facerec.recognisers.onnx_graph import InputSettings
from facerec.recognisers.recogniser import Recogniser
from facerec.stores.open import open_store
from facerec.stores.pixels import MOST_PIXELS
from facerec.stores.store import Store

logger = logging.getLogger(__name__)


@stage(
    "facerec embed",
    resumable=True,
    incidental=("batch_size", "workers", "device"),
    distributed=True,
    found=told("{faces:face}, {skipped:,} of them unreadable (skipped.csv); {dimension:dimension}"),
    then="python -m clustering cluster --backend hilander --embeddings {out} --out CLUSTERS",
)
def embed(
    model: Path,
    faces: Path,
    out: Path,
    flip: bool = True,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    batch_size: PositiveInt = 128,
    workers: NonNegativeInt = 2,
    device: str = "auto",
    dtype: Literal["float32", "float16"] = "float32",
    mean: float | None = None,
    std: PositiveFloat | None = None,
    channels: Literal["rgb", "bgr"] = "rgb",
    output: str | None = None,
    input_size: PositiveInt | None = None,
    max_pixels: PositiveInt = MOST_PIXELS,
) -> dict[str, float]:
    """Embeds every face of a store; interrupted, it goes on where it was.

    A face that cannot be read, or of which the recogniser makes nothing, gets a zero row and a line in ``skipped.csv``.
    The length that a row had before it was made 1, which is larger for clearer faces, is in ``norms.npy``.

    Args:
        model: A folder that ``facerec train`` made, arcface_torch's backbone.pth, or a recogniser in ONNX (any of
            insightface's).
        faces: A face store.
        out: Folder for the embedding set.
        flip: Whether the mirrored face is embedded too and added before the length is made 1.
        precision: fp32, bf16 (autocast), or auto: bf16 on CUDA. A recogniser in ONNX has its own.
        batch_size: Faces at once.
        workers: Processes that read faces; 0 reads in this process.
        device: auto, cpu or cuda.
        dtype: Type of the numbers that are written: float32, or float16, which takes half the disk.
        mean: Number that is subtracted from pixels (0 to 255); by default 127.5, or 0 for a network in ONNX that does
            this by itself.
        std: Number by which the difference is divided; by default 127.5, or 1 for such a network.
        channels: Order of the channels that a network in ONNX wants.
        output: Name of the output that is the embedding, for a network in ONNX that has several.
        input_size: Height and width of the faces for a network in ONNX that takes any; by default 112.
        max_pixels: Height times width; a larger picture is skipped before it is decoded.
    """
    place = choose_device(device)
    store = open_store(faces, max_pixels)
    settings = InputSettings(mean, std, channels, output, input_size)
    recogniser = Recogniser.from_pretrained(model, str(collectives.setup(place)), precision, settings)
    if ranks.is_main():
        for doubt in doubts_about(store, recogniser):
            logger.warning("%s: %s", faces, doubt)
    begun = EmbeddingFiles(out, len(store), recogniser.embedding_size, batch_size, np.dtype(dtype))
    blocks = np.flatnonzero(~begun.finished)
    started = time.perf_counter()
    embed_blocks(begun, FaceBlocks(store, recogniser.input_size, batch_size), blocks, recogniser, flip, workers)
    ranks.barrier()
    seconds = time.perf_counter() - started
    if not ranks.is_main():
        return {}
    speed = min(len(blocks) * batch_size, len(store)) / seconds
    return {**_finish(out, store, begun), "dimension": recogniser.embedding_size, "faces_per_second": round(speed, 1)}


def _finish(out: Path, store: Store, begun: EmbeddingFiles) -> dict[str, float]:
    """Writes the files beside the embeddings; returns the number of faces, and of those that were skipped."""
    skipped = begun.end()
    if len(skipped) == len(store):
        _, key, reason = skipped[0]
        raise InputError(f"{store.path}: none of its {len(store)} faces can be read, e.g. {key}: {reason}")
    save_names(out, store.keys, store.labels)
    write_table(out / "skipped.csv", ("row", "key", "reason"), skipped)
    return {"faces": len(store), "skipped": len(skipped)}
