"""The training loop."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facerec.devices.collectives import setup, union_over_ranks
from facerec.devices.device import as_a_worker, autocast, choose_device
from facerec.devices.loader import read_ahead
from facerec.losses.choice import LossOptions
from facerec.losses.head import Head
from facerec.pipeline.files import InputError, ObstacleError, row_blocks, write_table
from facerec.pipeline.progress import progress
from facerec.pipeline.ranks import broadcast_object, is_main, rank, world_size
from facerec.pipeline.safetensors_file import save_tensors
from facerec.pipeline.values import as_path, check_type
from facerec.recognisers.model_folder import save_model
from facerec.training.augment import Augmentation
from facerec.training.coarse_classes import read_levels
from facerec.training.dataset import Batches, Skipped
from facerec.training.monitor import Monitor
from facerec.training.optimizer import RowAdamW, weight_groups
from facerec.training.options import INCIDENTAL, Network, Run, Schedule, TrainingData, config_of
from facerec.training.pair_validation import read_pairs, validate
from facerec.training.samplers import choose_sampler
from facerec.training.state import load_states, remove_states, save_states
from facerec.training.step import Learner, trained_network
from facerec.training.training_set import TrainingSet, gather, say_unusual

logger = logging.getLogger(__name__)

STATE = "state.safetensors"
KINDS = {"data": TrainingData, "network": Network, "schedule": Schedule, "loss": LossOptions, "run": Run}


class Trainer:
    """Trains a backbone on labelled and pseudo-labelled faces.

    Everything random follows from the seed and the step, so that an interrupted training goes on as if it had not been
    interrupted. Under ``torchrun`` every process makes one and calls `run`; together they train one model.

    Attributes:
        faces: The training set.
        backbone: The network, on this process's device.
        head: Its head.
        total: Number of steps.

    Args:
        data: The faces.
        network: The backbone; by default the full MobileFaceNet.
        loss: The loss and its head; by default CosFace.
        schedule: How long, in which steps.
        run: Seed, device, validation and saved states.

    Raises:
        InputError: Unusable faces, labels, weights or verification sets, or options that do not fit them.

    Example:
        Train a small network for 100 steps::

            from pathlib import Path
            from facerec.training import Network, Schedule, Trainer, TrainingData

            trainer = Trainer(TrainingData(Path("faces")), Network(width=0.5), schedule=Schedule(steps=100))
            print(trainer.run(Path("model"))["accuracy"])
    """

    def __init__(
        self, data: TrainingData, network: Network | None = None, loss: LossOptions | None = None,
        schedule: Schedule | None = None, run: Run | None = None,
    ):  # fmt: skip
        self._network, self._schedule, self._run = network or Network(), schedule or Schedule(), run or Run()
        self._loss = loss or LossOptions()
        self._options = (data, self._network, self._schedule, self._loss, self._run)
        for options, (name, kind) in zip(self._options, KINDS.items(), strict=True):
            check_type(name, options, kind)
        self._schedule.check_parts(world_size())
        self.faces = gather(data)
        if is_main():
            say_unusual(self.faces, self._schedule.batch_size)
            if not self._run.validation_files and self._run.validation_steps != Run.validation_steps:
                logger.warning("--validation-steps has no effect: there is no --validation")
            if self._schedule.steps is not None and self._schedule.epochs != Schedule.epochs:
                logger.warning(
                    "--epochs %g has no effect: --steps %d is given", self._schedule.epochs, self._schedule.steps
                )
        self._order = choose_sampler(
            data.sampler, self.faces.label, self.faces.store, self._schedule.batch_size, self._run.seed,
            data.pseudo_share,
        )  # fmt: skip
        self.device = choose_device(self._run.device)
        self._context = autocast(self.device, self._run.precision)
        self._pairs = read_pairs(self._run.validation_files) if is_main() else []
        self._augment = Augmentation(self._network.input_size, self._run.seed, data.augmentation)
        self.total = self._schedule.total(len(self.faces))
        with self._own_random_numbers():
            self._make_model()
        self._began = False

    def _own_random_numbers(self) -> AbstractContextManager[None]:
        """A context after which PyTorch's random numbers go on as if nothing had been drawn."""
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def _make_model(self) -> None:
        torch.manual_seed(self._run.seed)
        self.backbone = self._network.build()
        self.device = setup(self.device)
        self.head = head_of(
            self._loss, self.faces, self._network.embedding_size, self._run.seed, self._schedule.accumulate
        )
        read = [*(self.backbone.state_dict().values() if self._network.init else ()), *self.head.buffers()]
        self._digest = digest(self.faces, self._options, read)
        if broadcast_object(self._digest) != self._digest:
            raise InputError("this process has other faces or settings than the first; give all the same")
        model = nn.ModuleDict({"backbone": self.backbone, "head": self.head}).to(self.device)
        self._model = model.to(memory_format=torch.channels_last)
        self._optimizer = RowAdamW(
            weight_groups(self._model, self._schedule.weight_decay), self._schedule.learning_rate
        )

    def run(self, out: str | Path) -> dict[str, Any]:
        """Trains, from the beginning each time, and writes the model.

        Args:
            out: Folder for the model. The state of an interrupted training in it is taken up.

        Returns:
            Numbers of faces, classes and skipped faces; last loss, accuracies and speed.

        Raises:
            InputError: The state is another training's, no face can be read, or the loss is not finite.
        """
        out = as_path("out", out)
        out.mkdir(parents=True, exist_ok=True)
        with as_a_worker(), self._own_random_numbers():
            if self._began:
                self._make_model()
            self._began = True
            return self._train(out)

    def _train(self, out: Path) -> dict[str, Any]:
        first, skipped, figures = self._restore(out)
        learner, bar = self._learner(), self._batches(first)
        self._model.train()
        monitor = Monitor(out / "tensorboard", first, self.total, self._schedule.batch_size, bar, figures)
        with contextlib.closing(monitor):
            for step, (images, classes, weights, unread) in enumerate(bar, first):
                skipped.update(checked_faces(unread, len(classes), step))
                for store in self.faces.stores if unread else ():
                    store.refuse_if_gone()
                if step == first:
                    monitor.show(images, step)
                rate = self._prepare_step(step)
                monitor.add(step, learner(images, classes, weights), rate)
                self._validate(monitor, step + 1)
                skipped = self._save(out, step + 1, skipped, monitor)
            monitor.project(self.backbone.eval(), self.faces, self._network.input_size, self.device, self._context)
        skipped = union_over_ranks(skipped)
        self._write(out, skipped)
        about = {"faces": len(self.faces), "classes": self.faces.classes, "skipped": len(skipped)}
        return {**about, **monitor.last}

    def _restore(self, out: Path) -> tuple[int, set[Skipped], dict[str, list[float]]]:
        """The first step, the faces that were skipped before it, and what the monitor had not shown yet."""
        progress = load_states(out / STATE, self._model, self._optimizer, self.head.sharded, self._digest)
        skipped = {tuple(face) for face in progress.get("skipped", [])}
        return progress.get("step", 0), skipped, progress.get("figures", {})

    def _learner(self) -> Learner:
        network = trained_network(self.backbone, self.device, self._run.shared_statistics, self._run.compile)
        return Learner(
            network, self.head, self._optimizer, self.device, self._context, self._schedule.accumulate,
            self._schedule.clip,
        )  # fmt: skip

    def _batches(self, first: int) -> Any:
        """The batches from a step on, with a progress bar in the main process."""
        batches = Batches(self.faces, self._order, self._augment, rank(), world_size(), self._schedule.accumulate)
        steps = range(first, self.total)
        loader = read_ahead(batches, steps, self._run.workers, pinned=self.device.type == "cuda")
        return progress(loader, "train", "steps", self.total, first, hidden=not is_main())

    def _prepare_step(self, step: int) -> float:
        """Sets the learning rate, which it returns, and seeds what a backbone may draw, on every rank otherwise."""
        rate = self._schedule.rate(step, self.total)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        seed = np.random.SeedSequence((self._run.seed, step, rank())).generate_state(1)[0]
        torch.manual_seed(int(seed))
        return rate

    def _validate(self, monitor: Monitor, done: int) -> None:
        """Shows accuracies on the verification sets if it is time for them."""
        if self._pairs and (done % self._run.validation_steps == 0 or done == self.total):
            size = self._network.input_size
            monitor.validate(
                done, self._pairs, lambda one: validate(self.backbone, one, size, self.device, self._context)
            )

    def _save(self, out: Path, done: int, skipped: set[Skipped], monitor: Monitor) -> set[Skipped]:
        """Saves the state if it is time for that; returns the skipped faces, then those of all ranks."""
        if done % self._run.checkpoint_steps or done == self.total:
            return skipped
        skipped = union_over_ranks(skipped)
        about = {"skipped": sorted(skipped), "figures": monitor.since_figures()}
        progress = {"step": done, "training": self._digest, **about}
        save_states(out / STATE, self._model, self._optimizer, progress, self.head.sharded)
        return skipped

    def _write(self, out: Path, skipped: Iterable[Skipped]) -> None:
        """Writes the model, the centres and the skipped faces; all ranks call it."""
        centres = self.head.all_centres()
        if not is_main():
            return
        about = {
            "normalization": "RGB, (value - 127.5) / 127.5", "classes": self.faces.classes, "faces": len(self.faces),
            "steps": self.total,
        }  # fmt: skip
        save_model(out, self.backbone, config_of(*self._options), about)
        save_tensors(out / "head.safetensors", {"centres": centres})
        write_table(out / "skipped.csv", ("store", "row", "key", "reason"), sorted(skipped))
        remove_states(out / STATE)


def digest(faces: TrainingSet, options: Sequence[Any], read: Iterable[Tensor] = ()) -> str:
    """What tells a training from others: faces, classes and settings, wherever its files are.

    Args:
        faces: The training set.
        options: Dataclasses of them.
        read: What came out of other files, such as the first weights.
    """
    found = hashlib.blake2b(digest_size=16)
    for tensor in read:
        found.update(np.ascontiguousarray(tensor.cpu()).data)
    for array in (faces.store, faces.row, faces.label, faces.weight):
        found.update(np.ascontiguousarray(array).data)
    for store in faces.stores:
        for some in row_blocks(len(store)):
            found.update("".join(f"{key}\n" for key in store.keys[some]).encode("utf-8", "surrogateescape"))
    values = {field.name: getattr(group, field.name) for group in options for field in fields(group)}
    left_out = {*INCIDENTAL, "validation", *(name for name, value in values.items() if isinstance(value, Path))}
    found.update(repr([(name, value) for name, value in values.items() if name not in left_out]).encode())
    return found.hexdigest()


def head_of(loss: LossOptions, faces: TrainingSet, embedding_size: int, seed: int, parts: int = 1) -> Head:
    """A head for the classes of a training set, see `LossOptions.head`.

    Raises:
        InputError: A hierarchy that cannot be used, see `read_levels`, or too few classes.
    """
    levels: Tensor | None = read_levels(loss.hierarchy, faces) if isinstance(loss.hierarchy, Path) else None
    return loss.head(faces.classes, embedding_size, faces.first_classes, levels, seed, parts)


def checked_faces(unread: Sequence[Sequence[Any]], read: int, step: int) -> list[Skipped]:
    """The faces of a batch that could not be read.

    Raises:
        InputError: None of the batch could be read; an `ObstacleError` where others could before.
    """
    if not read:
        _, _, key, reason = unread[0]
        kind = ObstacleError if step else InputError
        raise kind(f"none of {len(unread)} faces in a row can be read, e.g. {key}: {reason}")
    return [(store, row, key, reason) for store, row, key, reason in unread]
