"""What a training is told: its data, network, schedule and run. The options of the loss are in `facerec.losses.choice`.

The fields are the options of ``facerec train``, see `facerec.pipeline.options`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import nn

from facerec.backbones import build
from facerec.pipeline.arguments import Seed, set_typed_fields
from facerec.pipeline.files import InputError
from facerec.pipeline.letters import as_letters
from facerec.recognisers.model_folder import BUILD_OPTIONS, load_weights
from facerec.stores.pixels import MOST_PIXELS
from facerec.training.optimizer import SCHEDULES, schedule_factor

MOST_FACES = 1 << 20
"""Most faces in a batch."""
INCIDENTAL = ("workers", "device", "checkpoint_steps", "validation_steps", "compile")
"""Options that do not change the model."""


@dataclass(frozen=True)
class TrainingData:
    """Labelled and pseudo-labelled faces, and how they come into the batches.

    Attributes:
        faces: Labelled faces.
        labels: Classes of the labelled faces: .npy, a number or name a line, or FILE.csv:COLUMN; -1 = not used. By
            default the identities of the store.
        unlabelled: Further faces, whose classes are kept apart from those of the labelled ones.
        pseudo_labels: The classes of `unlabelled`: .npy, or a folder with labels.npy and perhaps weights.npy and
            same_as.npy, which names the pseudo classes that are one of the labelled classes.
        pseudo_share: Share of each batch that is drawn from the unlabelled faces; by default not fixed.
        sampler: random (every face once a pass) or balanced (every class equally often).
        augmentation: How often faces are varied in pose, light, colour and sharpness or partly covered, as a share of
            the usual probabilities, 0 to 1. With 0 they are only cropped a little and mirrored. About 0.33 is better
            where each face is seen ten times or fewer.
        max_pixels: Height times width; a larger picture is skipped.

    Raises:
        InputError: One of a pair without the other, no faces, no such share, or no pixels.
    """

    faces: Path | None = None
    labels: Path | None = None
    unlabelled: Path | None = None
    pseudo_labels: Path | None = None
    pseudo_share: float | None = None
    sampler: str = "random"
    augmentation: float = 1.0
    max_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        set_typed_fields(self)
        if (self.unlabelled is None) != (self.pseudo_labels is None):
            raise InputError("--unlabelled and --pseudo-labels go together; one of them is missing")
        if self.labels is not None and self.faces is None:
            raise InputError(f"--labels {self.labels} without --faces; say which faces they belong to")
        if self.faces is None and self.unlabelled is None:
            raise InputError("no faces to train on; give --faces, or --unlabelled with --pseudo-labels, or all of them")
        if not 0 <= self.augmentation <= 1:
            raise InputError(f"--augmentation {self.augmentation}; it is a share, 0 to 1")
        if self.max_pixels < 1:
            raise InputError(f"--max-pixels {self.max_pixels}; at least 1")


@dataclass(frozen=True)
class Network:
    """A backbone, and the weights that it begins with.

    Attributes:
        init: A model of the same backbone whose weights training begins with: a folder that train made, arcface_torch's
            backbone.pth, or a model.onnx that export made.
        backbone: mobilefacenet, iresnet18 to iresnet200, or vit_tiny to vit_large; facerec backbones lists them all.
        width: Multiplies the channels of mobilefacenet.
        input_size: Height and width to which faces are brought, in pixels.
        embedding_size: Length of an embedding.
    """

    init: Path | None = None
    backbone: str = "mobilefacenet"
    width: float = 1.0
    input_size: int = 112
    embedding_size: int = 128

    def __post_init__(self) -> None:
        set_typed_fields(self)

    def build(self) -> nn.Module:
        """The backbone.

        Raises:
            InputError: As of `facerec.backbones.build`, or `init` is the model of another network.
        """
        network = build(self.backbone, self.embedding_size, self.input_size, self.width)
        if self.init is not None:
            load_weights(self.init, network, self.config())
        return network

    def config(self) -> dict[str, Any]:
        """The options with which the backbone can be built again."""
        return {name: getattr(self, name) for name in BUILD_OPTIONS}


@dataclass(frozen=True)
class Schedule:
    """How long training goes on, in which steps.

    Attributes:
        epochs: Passes over the faces, unless steps is given.
        steps: A fixed number of steps, instead of epochs, so that sets of different sizes cost the same.
        batch_size: Faces a step, over all processes together.
        accumulate: Parts of a batch that are processed one after the other, to save memory.
        learning_rate: Highest learning rate.
        weight_decay: Weight decay of AdamW, on all weights but biases and those of normalisations and activations.
        clip: Largest length of the backbone's gradient; by default unlimited.
        warmup: Share of the steps in which the learning rate rises from 0.
        schedule: How the learning rate falls to 0 afterwards: cosine, or poly (quadratically).

    Raises:
        InputError: A number out of range, or no such schedule.
    """

    epochs: float = 16
    steps: int | None = None
    batch_size: int = 128
    accumulate: int = 1
    learning_rate: float = 0.003
    weight_decay: float = 0.05
    clip: float | None = None
    warmup: float = 0.05
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        set_typed_fields(self)
        if self.batch_size < 2:
            raise InputError(f"--batch-size {self.batch_size}; batch normalisation needs at least 2 faces")
        if self.batch_size > MOST_FACES:
            raise InputError(f"--batch-size {self.batch_size}; at most {MOST_FACES:,}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"--learning-rate {self.learning_rate}; it must be positive")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight-decay {self.weight_decay}; it must not be negative")
        if not 0 <= self.warmup < 1:
            raise InputError(f"--warmup {self.warmup}; it is a share of the steps, 0 to below 1")
        if self.schedule not in SCHEDULES:
            raise InputError(f"--schedule {self.schedule}; choose one of {', '.join(SCHEDULES)}")
        if not 0 < self.epochs < math.inf or (self.steps is not None and self.steps < 1):
            raise InputError(f"--epochs {self.epochs} --steps {self.steps}; training needs at least one step")
        if self.clip is not None and not self.clip > 0:
            raise InputError(f"--clip {self.clip}; it must be positive")

    def check_parts(self, ranks: int) -> None:
        """Checks that each rank gets an equal share of each part of a batch.

        Raises:
            InputError: It does not, or shares of less than 2 faces.
        """
        parts = self.accumulate * ranks
        if self.accumulate < 1 or self.batch_size % parts or self.batch_size < 2 * parts:
            raise InputError(
                f"--batch-size {self.batch_size} --accumulate {self.accumulate} with {ranks} process(es); the batch is "
                "divided into equal parts of at least 2 faces"
            )

    def total(self, faces: int) -> int:
        """The number of steps for so many faces."""
        return self.steps or math.ceil(self.epochs * faces / self.batch_size)

    def rate(self, step: int, total: int) -> float:
        """The learning rate of a step, from 0, of so many."""
        return self.learning_rate * schedule_factor(step, total, self.warmup, self.schedule)


@dataclass(frozen=True)
class Run:
    """Where and how a training runs, what it shows and saves.

    Attributes:
        validation: Verification sets of insightface (.bin), whose accuracies are shown during training.
        validation_steps: Steps from one validation to the next; the last step always has one.
        precision: fp32, bf16 (autocast), or auto: bf16 on CUDA.
        compile: Whether the backbone is compiled (torch.compile), which takes a minute and then is faster on CUDA.
        shared_statistics: Whether batch normalisation takes its means over all processes, so that their number does not
            change the result; without, steps are faster.
        seed: Seed of initial weights, order and augmentation.
        workers: Processes that read faces, for each that trains; 0 reads in the training process.
        device: auto, cpu or cuda.
        checkpoint_steps: Steps from one saved state to the next.

    Raises:
        InputError: A number out of range.
    """

    validation: Path | list[Path] | None = None
    validation_steps: int = 1000
    precision: str = "auto"
    compile: bool = False
    shared_statistics: bool = True
    seed: Seed = 0
    workers: int = 2
    device: str = "auto"
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        set_typed_fields(self)
        if self.checkpoint_steps < 1 or self.workers < 0:
            raise InputError(f"--checkpoint-steps {self.checkpoint_steps} --workers {self.workers}; at least 1 and 0")
        if self.validation_steps < 1:
            raise InputError(f"--validation-steps {self.validation_steps}; at least 1")

    @property
    def validation_files(self) -> list[Path]:
        """The verification sets, of which there may be none."""
        return [self.validation] if isinstance(self.validation, Path) else self.validation or []


def config_of(*options: Any) -> dict[str, Any]:
    """Options as a file for ``facerec train --config`` has them: with it the same training can be done again.

    Those that are `INCIDENTAL`, that were left out, or that others overrule are not in it. Paths are absolute.

    Args:
        *options: Dataclasses of this module and `facerec.losses.choice.LossOptions`.
    """
    values = {field.name: getattr(group, field.name) for group in options for field in fields(group)}
    if values.get("steps") is not None:
        values.pop("epochs", None)
    return {name: _plain(x) for name, x in values.items() if x is not None and name not in INCIDENTAL}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (bool, int, float):  # numbers within bounds have kinds of their own, which YAML does not know
        if isinstance(value, kind):
            return kind(value)
    return as_letters(str(value.absolute())) if isinstance(value, Path) else value
