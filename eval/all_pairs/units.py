"""What is compared: single faces, or a template of each session of a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.metrics.templates import pool, unit
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Units:
    """Faces or templates, in the order of their subjects; u of them, of s subjects and n faces.

    Attributes:
        features: float64 [u, d], unit rows; zero where no face could be read.
        subject: int32 [u], from 0, not falling.
        labels: int64 [s], the label of each subject.
        face: int64 [u], the embedding row of each unit's first face, which stands for it.
        unit_of: int64 [n], the unit of each embedding row; -1 for a face that is left out.
    """

    features: np.ndarray
    subject: np.ndarray
    labels: np.ndarray
    face: np.ndarray
    unit_of: np.ndarray

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def sizes(self) -> np.ndarray:
        """int64 [s], units of each subject."""
        return np.bincount(self.subject, minlength=len(self.labels))

    @property
    def genuine_pairs(self) -> int:
        """Number of pairs of one subject."""
        return int(np.sum(self.sizes * (self.sizes - 1) // 2))

    @property
    def impostor_pairs(self) -> int:
        """Number of pairs of two subjects."""
        return len(self) * (len(self) - 1) // 2 - self.genuine_pairs


def make_units(embeddings: np.ndarray, labels: np.ndarray, session: np.ndarray | None, path: Path) -> Units:
    """Faces as they are, or pooled by person and session.

    Args:
        embeddings: float [n, d]; zero rows are faces that could not be read.
        labels: int64 [n]; faces with -1 are left out.
        session: int64 [n]; faces of one person and session make one template, in which each face is a medium
            (`eval.metrics.templates.pool`). Faces with -1 are left out. None to compare faces.
        path: Where the labels come from, for messages.

    Raises:
        InputError: Fewer than two subjects with two units each, or no readable face.
    """
    known = labels >= 0 if session is None else (labels >= 0) & (session >= 0)
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    unit_of = np.full(len(labels), -1)
    if session is None:
        features, unit_of[rows], face = unit(embeddings[rows].astype(np.float64)), np.arange(len(rows)), rows
    else:
        kinds = np.stack([labels[rows], session[rows]], axis=1)
        _, first, template = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
        features, face = _pooled(embeddings, rows, template), rows[first]
        unit_of[rows] = template
    names, subject = np.unique(labels[face], return_inverse=True)
    units = Units(features, subject.astype(np.int32), names, face, unit_of)
    _check(units, "templates" if session is not None else "faces", path)
    return units


def _pooled(embeddings: np.ndarray, rows: np.ndarray, template: np.ndarray) -> np.ndarray:
    return pool(embeddings, rows, template, np.arange(len(rows))).features if len(rows) else np.empty((0, 1))


def _check(units: Units, kind: str, path: Path) -> None:
    if len(units.labels) < 2:
        raise InputError(f"{path}: {counted(len(units.labels), 'labelled person')}; impostor pairs need at least two")
    several = int(np.count_nonzero(units.sizes > 1))
    if several < 2:
        raise InputError(
            f"{path}: {several} of {len(units.labels)} labelled people have two {kind}; at least two people need them"
        )
    if not units.features.any():
        raise InputError(f"{path}: every labelled face has a zero embedding; nothing to compare")
