"""The command ``train``: faces to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facerec.losses.choice import LossOptions
from facerec.pipeline.counts import told
from facerec.pipeline.options import flattened
from facerec.pipeline.stage import stage
from facerec.training.options import INCIDENTAL, Network, Run, Schedule, TrainingData
from facerec.training.trainer import Trainer


@stage(
    "facerec train",
    resumable=True,
    distributed=True,
    incidental=INCIDENTAL,
    found=told("{faces:face} of {classes:class}; loss {loss:.3f}, accuracy {accuracy:.1%} at the end"),
    then="python -m facerec embed --model {out} --faces FACES --out EMBEDDINGS",
)
@flattened
def train(
    out: Path, data: TrainingData, network: Network, schedule: Schedule, loss: LossOptions, run: Run
) -> dict[str, Any]:
    """Trains a backbone; interrupted, it goes on where it was. Under torchrun, on several GPUs or machines.

    The config.yaml of a model is a file for --config: with another --out it trains the same again. An option given
    beside it overrules the file.

    Args:
        out: Folder for the model.
        data: See `TrainingData`; the fields of these five are the options.
        network: See `Network`.
        schedule: See `Schedule`.
        loss: See `LossOptions`.
        run: See `Run`.
    """
    return Trainer(data, network, loss, schedule, run).run(out)
