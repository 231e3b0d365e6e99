"""What TensorBoard and the progress bar show of a training."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from facerec.devices.device import to_input
from facerec.losses.head import Outcome
from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import is_main
from facerec.stores.pixels import resized
from facerec.stores.store import UnreadableFace
from facerec.training.pair_validation import PairSet
from facerec.training.training_set import TrainingSet

LOG_STEPS = 10
SHOWN_FACES = 64  # of the first batch, as augmented
PROJECTED_CLASSES, PROJECTED_FACES = 20, 10
NONE: Mapping[str, list[float]] = {}


class Monitor:
    """Scalars for TensorBoard and the progress bar, means over `LOG_STEPS` steps, and pictures; rank 0 writes.

    Args:
        folder: Of TensorBoard's files.
        first: The step that training begins with, from 0.
        total: Number of steps.
        batch_size: Faces a step.
        bar: The progress, see `facerec.pipeline.progress`.
        before: Losses and accuracies of the steps before the first, see `since_figures`.
    """

    def __init__(
        self, folder: Path, first: int, total: int, batch_size: int, bar: Any, before: Mapping[str, list[float]] = NONE
    ):
        purged = first + 1 if first else 0  # the figures of step `first`, counted from 1, are those of a done step
        self.writer = SummaryWriter(str(folder), purge_step=purged) if is_main() else None
        if getattr(threading.excepthook, "func", None) is not _of_other_threads:
            threading.excepthook = partial(_of_other_threads, threading.excepthook)
        self.folder, self.total, self.batch_size, self.bar = folder, total, batch_size, bar
        self.last: dict[str, float] = {}
        self._clear()
        self.losses += before.get("losses", [])
        self.accuracies += before.get("accuracies", [])

    def _clear(self) -> None:
        self.losses: list[Tensor | float] = []
        self.accuracies: list[Tensor | float] = []
        self.timed, self.started = 0, time.perf_counter()

    def since_figures(self) -> dict[str, list[float]]:
        """Losses and accuracies of the steps since the last figures, for a saved state: the next are means of them."""
        return {"losses": list(map(float, self.losses)), "accuracies": list(map(float, self.accuracies))}

    def add(self, step: int, outcome: Outcome, rate: float) -> None:
        """Takes in a step.

        Args:
            step: From 0.
            outcome: Of the step.
            rate: The learning rate.

        Raises:
            InputError: The loss is not finite.
        """
        self.timed += 1
        self.losses.append(outcome.loss)
        self.accuracies.append((outcome.nearest == outcome.labels).float().mean())
        if (step + 1) % LOG_STEPS and step + 1 < self.total:
            return
        mean, accuracy = _mean(self.losses, outcome.loss), _mean(self.accuracies, outcome.loss)
        if not math.isfinite(mean):
            raise InputError(f"the loss is {mean} at step {step + 1}; lower --learning-rate")
        speed = self.batch_size * self.timed / (time.perf_counter() - self.started)
        measured = {"loss": mean, "accuracy": accuracy, "images_per_second": speed}
        self.last |= measured
        self._write({**measured, "learning_rate": rate, **_margins(outcome)}, step + 1)
        self.bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{accuracy:.3f}", images=f"{speed:.0f}/s")
        self._clear()

    def validate(self, step: int, sets: Sequence[PairSet], accuracy: Callable[[PairSet], float]) -> None:
        """Takes the accuracy on pair sets after so many steps, on rank 0; the time that it takes is not training's."""
        if self.writer is None:
            return
        begun = time.perf_counter()
        found = {f"validation/{one.name}": accuracy(one) for one in sets}
        self.last |= found
        self._write(found, step)
        self.started += time.perf_counter() - begun

    def show(self, images: Tensor, step: int) -> None:
        """Shows faces as they are augmented, uint8 RGB [n, size, size, 3]."""
        if self.writer is not None:
            self.writer.add_images("augmented", images[:SHOWN_FACES].numpy(), step, dataformats="NHWC")

    def project(
        self, network: nn.Module, faces: TrainingSet, size: int, device: torch.device, context: torch.autocast
    ) -> None:
        """Puts some faces of some classes into the embedding projector, by a network in evaluation mode."""
        if self.writer is None:
            return
        images, labels = _some(faces, size)
        if not len(labels):
            return
        with torch.inference_mode(), context:
            embeddings = network(to_input(torch.from_numpy(images), device)).float().cpu()
        shutil.rmtree(self.folder / f"{self.total:05d}", ignore_errors=True)  # of an interrupted run
        pictures = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        names = [str(label) for label in labels]
        self.writer.add_embedding(nn.functional.normalize(embeddings), names, pictures, self.total, "faces")

    def _write(self, scalars: dict[str, float], step: int) -> None:
        if self.writer is not None:
            for name, value in scalars.items():
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends the files."""
        if self.writer is not None:
            self.writer.close()


def _of_other_threads(tell: Callable[[threading.ExceptHookArgs], Any], error: threading.ExceptHookArgs) -> None:
    """Tells an error in a thread, unless it is TensorBoard's, which raises it in the main one: as on a full disk."""
    if not type(error.thread).__module__.startswith("tensorboard."):
        tell(error)


def _mean(values: Sequence[Tensor | float], like: Tensor) -> float:
    return float(torch.stack([torch.as_tensor(value, device=like.device) for value in values]).mean())


def _margins(outcome: Outcome) -> dict[str, float]:
    """Mean cosines of faces to their own class and to the nearest other, and the difference, which is the margin."""
    if outcome.cosines is None:
        return {}
    rows = outcome.labels[:, None]
    own = float(outcome.cosines.gather(1, rows).mean())
    other = float(outcome.cosines.scatter(1, rows, -torch.inf).amax(1).mean())
    return {"cosine/own": own, "cosine/nearest_other": other, "cosine/margin": own - other}


def _some(faces: TrainingSet, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, size, size, 3] and labels [n] of the first faces of classes spread over all."""
    images, labels = [], []
    for label in np.unique(np.linspace(0, faces.classes - 1, PROJECTED_CLASSES).astype(int)):
        for item in np.flatnonzero(faces.label == label)[:PROJECTED_FACES]:
            try:
                face = faces.stores[faces.store[item]].read(int(faces.row[item]))
            except UnreadableFace:
                continue
            images.append(resized(face, size))
            labels.append(label)
    return (np.stack(images) if images else np.empty((0, size, size, 3), np.uint8)), np.array(labels)
