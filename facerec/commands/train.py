"""Training a backbone on labelled and pseudo-labelled faces."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from facerec.backbones import build
from facerec.devices import collectives as distributed
from facerec.devices.device import autocast, choose_device, prepare_worker
from facerec.losses.choice import choose_loss
from facerec.losses.partial_fc import PartialHead, RowAdamW
from facerec.pipeline import ranks as processes
from facerec.pipeline.files import InputError, write_table
from facerec.pipeline.stage import stage
from facerec.recognisers.model_folder import load_weights, save_model
from facerec.training.dataset import Batches, Skipped
from facerec.training.monitor import Monitor
from facerec.training.pair_validation import read_pairs, validate
from facerec.training.samplers import choose_sampler
from facerec.training.state import load_states, remove_states, save_states
from facerec.training.step import SCHEDULES, Learner, schedule_factor, weight_groups
from facerec.training.trainer import all_centres, checked_faces, loader_of, step_seed
from facerec.training.training_set import gather

STATE = "state.safetensors"


@stage(
    "facerec train", resumable=True, distributed=True,
    incidental=("workers", "device", "checkpoint_steps", "validation_steps", "compile"),
)  # fmt: skip
def train(
    out: Path,
    faces: Path | None = None,
    labels: Path | None = None,
    unlabelled: Path | None = None,
    pseudo_labels: Path | None = None,
    pseudo_share: float | None = None,
    sampler: str = "random",
    init: Path | None = None,
    backbone: str = "mobilefacenet",
    width: float = 1.0,
    input_size: int = 112,
    embedding_size: int = 128,
    epochs: float = 16,
    steps: int | None = None,
    batch_size: int = 128,
    accumulate: int = 1,
    learning_rate: float = 0.003,
    weight_decay: float = 0.05,
    clip: float | None = None,
    warmup: float = 0.05,
    schedule: str = "cosine",
    loss: str = "cosface",
    scale: float | None = None,
    margin: float | list[float] | None = None,
    subcentres: int = 1,
    heads: int = 1,
    interclass_filter: float | None = None,
    sample_rate: float | None = None,
    hierarchy: Literal["kmeans"] | Path | None = None,
    hierarchy_weight: float | None = None,
    validation: Path | list[Path] | None = None,
    validation_steps: int = 1000,
    precision: str = "auto",
    compile: bool = False,  # noqa: A002 (it is torch.compile)
    shared_statistics: bool = True,
    seed: int = 0,
    workers: int = 2,
    device: str = "auto",
    checkpoint_steps: int = 200,
) -> dict[str, Any]:
    """Trains a backbone; interrupted, it goes on where it was. Under torchrun, on several GPUs or machines.

    Args:
        out: Folder for the model.
        faces: Labelled faces.
        labels: Their classes, int64 [n] as .npy, -1 = not used; by default the identities of the store.
        unlabelled: Further faces, whose classes are kept apart from those of the labelled ones.
        pseudo_labels: The classes of `unlabelled`: .npy, or a folder with labels.npy and perhaps weights.npy and
            same_as.npy, which names the pseudo classes that are one of the labelled classes.
        pseudo_share: Share of each batch that is of `unlabelled`; by default as it comes.
        sampler: random (every face once a pass) or balanced (every class equally often).
        init: A model of the same backbone whose weights training begins with.
        backbone: mobilefacenet, iresnet18 to iresnet200, or vit_tiny to vit_large; facerec backbones lists them all.
        width: Multiplies the channels of mobilefacenet.
        input_size: Height and width to which faces are brought, in pixels.
        embedding_size: Length of an embedding.
        epochs: Passes over the faces.
        steps: A fixed number of steps in place of epochs, so that sets of different sizes cost the same.
        batch_size: Faces a step, over all processes together.
        accumulate: Parts in which a batch is worked on one after the other, where memory is short.
        learning_rate: The highest.
        weight_decay: AdamW's, on all weights but those of normalisations and activations.
        clip: The largest length of the backbone's gradient; by default any.
        warmup: Share of the steps in which the learning rate rises from 0.
        schedule: How it falls to 0 then: cosine, or poly (quadratically).
        loss: cosface, softmax (no margin), arcface, combined, adaface, proxy_nca or proxy_anchor.
        scale: s of the margin losses, by default 32; 2 / temperature of proxy_nca, 18; alpha of proxy_anchor, 32.
        margin: By default 0.2 of cosface, in cosine; 0.5 of arcface, in radians; [1,0.3,0.2] of combined, which takes
            three; 0.4 of adaface; 0.1, delta, of proxy_anchor.
        subcentres: Centres a class, of which the nearest counts; for margin losses.
        heads: 2 keeps labelled and pseudo classes apart, so that they do not compete; 1 is one label space.
        interclass_filter: Against wrong labels: other classes whose centre has a larger cosine than this to a face do
            not count against it, e.g. 0.4; for margin losses.
        sample_rate: Partial FC: centres are divided among the processes, and this share of them, above 0 to 1, takes
            part in a step; for margin losses and many classes.
        hierarchy: Coarser classes for a proxy loss: kmeans of the proxies every 200 steps, or a clustering with levels/
            of all the faces (labelled, then unlabelled), or of the unlabelled alone.
        hierarchy_weight: Weight of the loss of each of its levels, by default 0.1; the classes have 1.
        validation: Verification sets of insightface (.bin), of which accuracies are shown during training.
        validation_steps: Steps from one validation to the next; the last step always has one.
        precision: fp32, bf16 (autocast), or auto: bf16 on CUDA.
        compile: Whether the backbone is compiled (torch.compile), which takes a minute and then is faster on CUDA.
        shared_statistics: Whether batch normalisation takes its means over all processes, so that their number does not
            change the result; without, steps are faster.
        seed: Of initial weights, order and augmentation.
        workers: Processes that read faces, for each that trains; 0 reads in the training process.
        device: auto, cpu or cuda.
        checkpoint_steps: Steps from one saved state to the next.
    """
    _check_options(batch_size, learning_rate, warmup, schedule, epochs, steps, checkpoint_steps, workers)
    _check_parts(batch_size, accumulate, clip, validation_steps)
    chosen = choose_loss(
        loss, scale, margin, subcentres, hierarchy, hierarchy_weight, heads, interclass_filter, sample_rate
    )
    training_set = gather(faces, labels, unlabelled, pseudo_labels)
    order = choose_sampler(sampler, training_set.label, training_set.store, batch_size, seed, pseudo_share)
    place = choose_device(device)
    context = autocast(place, precision)
    sets = [validation] if isinstance(validation, Path) else validation or []
    pairs = read_pairs(sets) if processes.is_main() else []
    options = {"backbone": backbone, "width": width, "input_size": input_size, "embedding_size": embedding_size}
    torch.manual_seed(seed)
    network = build(backbone, embedding_size, input_size, width)
    if init is not None:
        load_weights(init, network, options)
    place = distributed.setup(place)
    head = chosen.head(training_set, embedding_size, seed)
    model = nn.ModuleDict({"backbone": network, "head": head}).to(place)
    model = model.to(memory_format=torch.channels_last)
    optimizer = RowAdamW(weight_groups(model, weight_decay), learning_rate)
    total = steps or max(1, math.ceil(epochs * len(training_set) / batch_size))
    state, sharded = out / STATE, isinstance(head, PartialHead)
    progress = load_states(state, model, optimizer, sharded)
    first = progress.get("step", 0)
    skipped: set[Skipped] = {tuple(face) for face in progress.get("skipped", [])}
    learner = Learner(network, head, optimizer, place, context, accumulate, clip, shared_statistics, compile)
    batches = Batches(training_set, order, input_size, seed, processes.rank(), processes.world_size(), accumulate)
    loader = loader_of(batches, range(first, total), workers, place)
    model.train()
    prepare_worker()
    hidden = None if processes.is_main() else True
    bar = tqdm(loader, "train", total, initial=first, unit="step", disable=hidden)
    with contextlib.closing(Monitor(out / "tensorboard", first, total, batch_size, bar)) as monitor:
        for step, (images, classes, weights, unread) in enumerate(bar, first):
            skipped.update(checked_faces(unread, len(classes)))
            if step == first:
                monitor.show(images, step)
            rate = learning_rate * schedule_factor(step, total, warmup, schedule)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(step_seed(seed, step))
            monitor.add(step, learner(images, classes, weights), rate)
            if pairs and ((step + 1) % validation_steps == 0 or step + 1 == total):
                monitor.validate(step + 1, pairs, lambda one: validate(network, one, input_size, place, context))
            if (step + 1) % checkpoint_steps == 0 and step + 1 < total:
                skipped = distributed.union_over_ranks(skipped)
                save_states(state, model, optimizer, {"step": step + 1, "skipped": sorted(skipped)}, sharded)
        monitor.project(network.eval(), training_set, input_size, place, context)
    skipped, centres = distributed.union_over_ranks(skipped), all_centres(head)
    if processes.is_main():
        about = {"classes": training_set.classes, "faces": len(training_set), "steps": total, "seed": seed}
        save_model(out, network, {**options, "normalization": "RGB, (value - 127.5) / 127.5", **about})
        save_file({"centres": centres}, out / "head.safetensors")
        write_table(out / "skipped.csv", ("store", "row", "key", "reason"), sorted(skipped))
        remove_states(state)
    return {"faces": len(training_set), "classes": training_set.classes, "skipped": len(skipped), **monitor.last}


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


def _check_parts(batch_size: int, accumulate: int, clip: float | None, validation_steps: int) -> None:
    ranks = processes.world_size()
    if accumulate < 1 or batch_size % (accumulate * ranks) or batch_size // accumulate < 2 * ranks:
        raise InputError(
            f"--batch-size {batch_size} --accumulate {accumulate} with {ranks} process(es); the batch is divided into "
            "equal parts of at least 2 faces"
        )
    if clip is not None and clip <= 0:
        raise InputError(f"--clip {clip}; it must be positive")
    if validation_steps < 1:
        raise InputError(f"--validation-steps {validation_steps}; at least 1")
