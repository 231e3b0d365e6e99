"""Training a backbone on labelled and pseudo-labelled faces."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from facerec.artifacts import InputError, load_array, load_labels, write_table
from facerec.backbones import build
from facerec.checkpoint import load_state, save_model, save_state
from facerec.dataset import Batches, Skipped, TrainingSet, join
from facerec.device import autocast, choose_device, prepare_worker, to_input
from facerec.heads import choose_loss
from facerec.stages import stage
from facerec.store import Store, open_store

STATE = "state.safetensors"
LOG_STEPS = 10
SCHEDULES = ("cosine", "poly")


@stage("facerec train", resumable=True, incidental=("workers", "device", "checkpoint_steps"))
def train(
    out: Path,
    faces: Path | None = None,
    labels: Path | None = None,
    unlabelled: Path | None = None,
    pseudo_labels: Path | None = None,
    backbone: str = "mobilefacenet",
    width: float = 1.0,
    input_size: int = 112,
    embedding_size: int = 128,
    epochs: float = 16,
    steps: int | None = None,
    batch_size: int = 128,
    learning_rate: float = 0.003,
    weight_decay: float = 0.05,
    warmup: float = 0.05,
    schedule: str = "cosine",
    loss: str = "cosface",
    scale: float | None = None,
    margin: float | list[float] | None = None,
    subcentres: int = 1,
    hierarchy: Literal["kmeans"] | Path | None = None,
    hierarchy_weight: float | None = None,
    precision: str = "auto",
    seed: int = 0,
    workers: int = 2,
    device: str = "auto",
    checkpoint_steps: int = 200,
) -> dict[str, Any]:
    """Trains a backbone from scratch; interrupted, it goes on where it was.

    Args:
        out: Folder for the model.
        faces: Labelled faces.
        labels: Their classes, int64 [n] as .npy, -1 = not used; by default the identities of the store.
        unlabelled: Further faces, whose classes are kept apart from those of the labelled ones.
        pseudo_labels: The classes of `unlabelled`: .npy, or a folder with labels.npy and perhaps weights.npy.
        backbone: mobilefacenet, iresnet18 to iresnet200, or vit_tiny to vit_large; facerec backbones lists them all.
        width: Multiplies the channels of mobilefacenet.
        input_size: Height and width to which faces are brought, in pixels.
        embedding_size: Length of an embedding.
        epochs: Passes over the faces.
        steps: A fixed number of steps in place of epochs, so that sets of different sizes cost the same.
        batch_size: Faces a step.
        learning_rate: The highest.
        weight_decay: AdamW's, on all weights but those of normalisations and activations.
        warmup: Share of the steps in which the learning rate rises from 0.
        schedule: How it falls to 0 then: cosine, or poly (quadratically).
        loss: cosface, softmax (no margin), arcface, combined, adaface, proxy_nca or proxy_anchor.
        scale: s of the margin losses, by default 32; 2 / temperature of proxy_nca, 18; alpha of proxy_anchor, 32.
        margin: By default 0.2 of cosface, in cosine; 0.5 of arcface, in radians; [1,0.3,0.2] of combined, which takes
            three; 0.4 of adaface; 0.1, delta, of proxy_anchor.
        subcentres: Centres a class, of which the nearest counts; for margin losses.
        hierarchy: Coarser classes for a proxy loss: kmeans of the proxies every 200 steps, or a clustering with levels/
            of all the faces (labelled, then unlabelled), or of the unlabelled alone.
        hierarchy_weight: Weight of the loss of each of its levels, by default 0.1; the classes have 1.
        precision: fp32, bf16 (autocast), or auto: bf16 on CUDA.
        seed: Of initial weights, order and augmentation.
        workers: Processes that read faces; 0 reads in the training process.
        device: auto, cpu or cuda.
        checkpoint_steps: Steps from one saved state to the next.
    """
    _check_options(batch_size, learning_rate, warmup, schedule, epochs, steps, checkpoint_steps, workers)
    chosen = choose_loss(loss, scale, margin, subcentres, hierarchy, hierarchy_weight)
    training_set = gather(faces, labels, unlabelled, pseudo_labels)
    place = choose_device(device)
    context = autocast(place, precision)
    torch.manual_seed(seed)
    network = build(backbone, embedding_size, input_size, width)
    head = chosen.head(training_set, embedding_size, seed)
    model = nn.ModuleDict({"backbone": network, "head": head}).to(place)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_groups(model, weight_decay), learning_rate)
    total = steps or max(1, math.ceil(epochs * len(training_set) / batch_size))
    state = out / STATE
    progress = load_state(state, model, optimizer) if state.exists() else {}
    first = progress.get("step", 0)
    skipped: set[Skipped] = {tuple(face) for face in progress.get("skipped", [])}
    batches = Batches(training_set, batch_size, input_size, seed)
    loader = DataLoader(
        batches, batch_size=None, sampler=range(first, total), num_workers=workers,
        worker_init_fn=prepare_worker, pin_memory=place.type == "cuda",
    )  # fmt: skip
    model.train()
    prepare_worker()
    bar = tqdm(loader, "train", total, initial=first, unit="step", disable=None)
    with contextlib.closing(_Log(out / "tensorboard", first, batch_size)) as log:
        for step, (images, classes, weights, unread) in enumerate(bar, first):
            if not len(classes):
                _, _, key, reason = unread[0]
                raise InputError(f"none of {batch_size} faces in a row can be read, e.g. {key}: {reason}")
            skipped.update(tuple(face) for face in unread)
            rate = learning_rate * schedule_factor(step, total, warmup, schedule)
            for group in optimizer.param_groups:
                group["lr"] = rate
            classes, weights = classes.to(place), weights.to(place)
            with context:
                embeddings = network(to_input(images, place))
            value, cosines = head(embeddings, classes, weights)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            log.add(step, total, value, (cosines.argmax(1) == classes).float().mean(), rate, bar)
            if (step + 1) % checkpoint_steps == 0 and step + 1 < total:
                save_state(state, model, optimizer, {"step": step + 1, "skipped": sorted(skipped)})
    config = {
        "backbone": backbone, "width": width, "input_size": input_size, "embedding_size": embedding_size,
        "normalization": "RGB, (value - 127.5) / 127.5", "classes": training_set.classes,
        "faces": len(training_set), "steps": total, "seed": seed,
    }  # fmt: skip
    save_model(out, network, config)
    save_file({"centres": head.centres.detach().cpu().contiguous()}, out / "head.safetensors")
    write_table(out / "skipped.csv", ("store", "row", "key", "reason"), sorted(skipped))
    state.unlink(missing_ok=True)
    return {"faces": len(training_set), "classes": training_set.classes, "skipped": len(skipped), **log.last}


def gather(faces: Path | None, labels: Path | None, unlabelled: Path | None, pseudo_labels: Path | None) -> TrainingSet:
    """The training set of labelled and pseudo-labelled faces, see `train`.

    Raises:
        InputError: Neither given, one of a pair without the other, or unusable files.
    """
    if (unlabelled is None) != (pseudo_labels is None):
        raise InputError("--unlabelled and --pseudo-labels go together; one of them is missing")
    if labels is not None and faces is None:
        raise InputError(f"--labels {labels} without --faces; say which faces they belong to")
    parts: list[tuple[Store, np.ndarray, np.ndarray | None]] = []
    if faces is not None:
        store = open_store(faces)
        known = store.labels if labels is None else load_labels(labels, len(store))
        if known is None:
            raise InputError(f"{faces}: no face has an identity; give --labels, or images in a folder per identity")
        parts.append((store, known, None if labels is None else _weights(labels, len(store))))
    if unlabelled is not None and pseudo_labels is not None:
        store = open_store(unlabelled)
        parts.append((store, load_labels(pseudo_labels, len(store)), _weights(pseudo_labels, len(store))))
    if not parts:
        raise InputError("no faces to train on; give --faces, or --unlabelled with --pseudo-labels, or all of them")
    return join(parts)


def schedule_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """The learning rate of a step, as a share of the highest.

    Args:
        step: From 0.
        total: Number of steps.
        warmup: Share of the steps in which it rises.
        schedule: One of `SCHEDULES`.
    """
    rising = warmup * total
    if step + 1 < rising:
        return (step + 1) / rising
    done = (step - rising) / max(total - rising, 1)
    done = min(max(done, 0.0), 1.0)
    return (1 - done) ** 2 if schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))


class _Log:
    """Scalars for TensorBoard and the progress bar, means over `LOG_STEPS` steps."""

    def __init__(self, folder: Path, first: int, batch_size: int):
        self.writer = SummaryWriter(str(folder), purge_step=first)
        self.batch_size = batch_size
        self.last: dict[str, float] = {}
        self._clear()

    def _clear(self) -> None:
        self.losses: list[Tensor] = []
        self.accuracies: list[Tensor] = []
        self.started = time.perf_counter()

    def add(self, step: int, total: int, loss: Tensor, accuracy: Tensor, rate: float, bar: tqdm) -> None:
        self.losses.append(loss.detach())
        self.accuracies.append(accuracy)
        if (step + 1) % LOG_STEPS and step + 1 < total:
            return
        mean = float(torch.stack(self.losses).mean())
        if not math.isfinite(mean):
            raise InputError(f"the loss is {mean} at step {step + 1}; lower --learning-rate")
        speed = self.batch_size * len(self.losses) / (time.perf_counter() - self.started)
        self.last = {"loss": mean, "accuracy": float(torch.stack(self.accuracies).mean()), "images_per_second": speed}
        for name, value in {**self.last, "learning_rate": rate}.items():
            self.writer.add_scalar(name, value, step + 1)
        bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{self.last['accuracy']:.3f}", images=f"{speed:.0f}/s")
        self._clear()

    def close(self) -> None:
        self.writer.close()


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def _weights(labels: Path, rows: int) -> np.ndarray | None:
    file = labels / "weights.npy"
    if not (labels.is_dir() and file.exists()):
        return None
    weights = np.asarray(load_array(file, kind="f", ndim=1))
    if len(weights) != rows:
        raise InputError(f"{file}: {len(weights)} weights for {rows} faces; they must match one to one")
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise InputError(f"{file}: weights must be finite and not negative; found {weights.min()} to {weights.max()}")
    return weights


def _check_options(
    batch_size: int, learning_rate: float, warmup: float, schedule: str, epochs: float, steps: int | None,
    checkpoint_steps: int, workers: int,
) -> None:  # fmt: skip
    if batch_size < 2:
        raise InputError(f"--batch-size {batch_size}; batch normalisation needs at least 2 faces")
    if learning_rate <= 0:
        raise InputError(f"--learning-rate {learning_rate}; it must be positive")
    if not 0 <= warmup < 1:
        raise InputError(f"--warmup {warmup}; it is a share of the steps, 0 to below 1")
    if schedule not in SCHEDULES:
        raise InputError(f"--schedule {schedule}; choose one of {', '.join(SCHEDULES)}")
    if epochs <= 0 or (steps is not None and steps < 1):
        raise InputError(f"--epochs {epochs} --steps {steps}; training needs at least one step")
    if checkpoint_steps < 1 or workers < 0:
        raise InputError(f"--checkpoint-steps {checkpoint_steps} --workers {workers}; at least 1 and 0")
