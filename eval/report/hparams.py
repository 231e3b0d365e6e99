"""A comparison for TensorBoard's HPARAMS page: one run a row, its settings and its figures. Needs no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.report.comparison import COLUMNS, Table
from eval.report.runs import Run


def write_hparams(table: Table, folder: Path) -> None:
    """Writes event files into ``folder/ROW``: settings as hyper-parameters, the table's numbers as scalars of step 0.

    Args:
        table: The runs.
        folder: To be shown by ``tensorboard --logdir``.
    """
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # type: ignore[import-untyped]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

    for run, values in zip(table.runs, table.values, strict=True):
        numbers = {column.key: values[column.key] for column in COLUMNS if values[column.key] is not None}
        scalars = [Summary.Value(tag=key, simple_value=number) for key, number in numbers.items()]
        with contextlib.closing(EventFileWriter(str(folder / run.name))) as writer:
            writer.add_event(Event(summary=hparams_pb(settings(run), trial_id=run.name)))
            writer.add_event(Event(summary=Summary(value=scalars)))


def settings(run: Run) -> dict[str, Any]:
    """What the stages of a run were told, as far as it is one value: ``row``, ``clusters.k``, ``model.steps``, ..."""
    found = {f"{stage}.{name}": value for stage, meta in run.metas.items() for name, value in _config(meta).items()}
    return {"row": run.name, **found}


def _config(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.get("config", {}).items() if isinstance(value, (str, bool, int, float))}
