"""From what is seen of a clustering to its quality, with intervals that hold on new corpora."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from clustering.quality.features import names, squeezed, unsqueezed
from clustering.quality.networks import Networks, standardised
from eval.clusters.agreement import harmonic
from facerec.pipeline.files import InputError, readable
from facerec.pipeline.safetensors_file import writing

FIGURES = ("pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f")
PEOPLE = "people"
OWN = names().index("Pp by cut 0.85")
"""The first so many features are of the corpus alone; the number of people is estimated from them."""
SIGNS = 14
"""Columns of `error_signs` beside the features."""
MOST_WIDENED = 3.0
FILE = "quality.safetensors"
PACKAGED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class Estimator:
    """What was learned on simulated corpora.

    Attributes:
        quality: Networks of precision and recall, pairwise and BCubed, as `squeezed` shares.
        people: Networks of the logarithm of people per face.
        width: float64 [features + SIGNS + 1, 7]: regression weights of the logarithm of an error's usual size, for
            `FIGURES` and people; the intercept last.
        quantile: float64 [7], conformal: 90 % of the errors are at most so many times their usual size.
        usual: float64 [features, features], the inverse covariance of standardised features.
        furthest: How far from their mean (squared, Mahalanobis 1936) 99 % of the simulated clusterings are.
    """

    quality: Networks
    people: Networks
    width: np.ndarray
    quantile: np.ndarray
    usual: np.ndarray
    furthest: float

    def save(self, folder: Path) -> None:
        """Writes quality.safetensors into an existing folder."""
        from safetensors.numpy import save_file

        parts = asdict(self)
        nested = {f"{name}.{key}": array for name in NETWORKS for key, array in parts.pop(name).items()}
        arrays = {key: np.ascontiguousarray(array, np.float32) for key, array in {**nested, **parts}.items()}
        with writing(folder / FILE):
            save_file(arrays, folder / FILE)

    @classmethod
    def load(cls, folder: Path = PACKAGED) -> Estimator:
        """Reads what `save` wrote; the packaged one by default.

        Raises:
            InputError: No such file, not safetensors, or arrays of other names, shapes or values than this needs.
        """
        from safetensors.numpy import load_file

        file = folder / FILE
        if not file.is_file():
            raise InputError(f"{file}: no such file; make one with python -m clustering calibrate")
        with readable(file, "safetensors"):
            found = load_file(file)
        _check(file, found)
        parts = {key: array.astype(np.float64) for key, array in found.items()}
        quality, people = (Networks(*(parts.pop(f"{name}.{key}") for key in PARTS)) for name in NETWORKS)
        return cls(quality, people, parts["width"], parts["quantile"], parts["usual"], float(parts["furthest"][0]))

    def intervals(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimates and intervals.

        Args:
            x: float64 [m, features].

        Returns:
            float64 [m, 7, 3]: the estimate and both ends of a 90 % interval, of each of `FIGURES` and of people per
            face. And float64 [m]: how unlike the simulated ones a corpus is, see `Quality`. Above 1, intervals are
            wider by that.
        """
        centre = points(self.quality, self.people, x)
        unlike = self.distance(x) / self.furthest
        usual = np.exp(with_ones(error_signs(self.quality, self.people, x)) @ self.width)
        half = usual * self.quantile * np.clip(unlike, 1, MOST_WIDENED)[:, None]
        ends = np.stack([centre, centre - half, centre + half], axis=2)
        found = np.concatenate([unsqueezed(ends[:, :-1]), np.exp(ends[:, -1:])], axis=1)
        return found, unlike

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Float64 [m]: squared distances from the simulated clusterings' mean."""
        z = (x - self.quality.mean) / self.quality.deviation
        return np.asarray(np.einsum("mi,ij,mj->m", z, self.usual, z))


NETWORKS, PARTS = ("quality", "people"), ("mean", "deviation", "inner", "outer")


def _check(file: Path, found: dict[str, np.ndarray]) -> None:
    """Refuses arrays that are not an estimator's."""
    inputs, columns = {"quality": len(names()), "people": OWN}, {"quality": 4, "people": 1}
    members, _, hidden = (
        found["quality.inner"].shape if getattr(found.get("quality.inner"), "ndim", 0) == 3 else (1,) * 3
    )
    wanted: dict[str, tuple[int, ...]] = {
        "width": (inputs["quality"] + SIGNS + 1, len(FIGURES) + 1), "quantile": (len(FIGURES) + 1,),
        "usual": (inputs["quality"],) * 2, "furthest": (1,),
    }  # fmt: skip
    for name in NETWORKS:
        shapes = (
            (inputs[name],),
            (inputs[name],),
            (members, inputs[name] + 1, hidden),
            (members, hidden + 1, columns[name]),
        )
        wanted |= {f"{name}.{part}": shape for part, shape in zip(PARTS, shapes, strict=True)}
    for key in sorted(wanted.keys() | found.keys()):
        shape = found[key].shape if key in found else None
        if shape != wanted.get(key):
            raise InputError(f"{file}: {key} has shape {shape}, expected {wanted.get(key)}; calibrate again")
        if not np.isfinite(found[key]).all():
            raise InputError(f"{file}: {key} has NaN or infinite values; calibrate again")


@cache
def packaged() -> Estimator:
    """The estimator that comes with the package."""
    return Estimator.load()


def points(quality: Networks, people: Networks, x: np.ndarray) -> np.ndarray:
    """Float64 [m, 7]: squeezed `FIGURES`, F from precision and recall; and the logarithm of people per face."""
    pp, rp, pb, rb = unsqueezed(quality.outputs(x).mean(axis=0)).T
    count = np.minimum(people.outputs(x[:, :OWN]).mean(axis=0)[:, 0], 0)
    return np.column_stack([*(squeezed(each) for each in (pp, rp, harmonic(pp, rp), pb, rb, harmonic(pb, rb))), count])


def error_signs(quality: Networks, people: Networks, x: np.ndarray) -> np.ndarray:
    """What tells large errors from small ones: float64 [m, features + SIGNS].

    The features, the estimates and their distance from a half, and how far the networks disagree.
    """
    outputs = np.concatenate([quality.outputs(x), people.outputs(x[:, :OWN])], axis=2)
    centre = outputs.mean(axis=0)
    spread = np.log(outputs.std(axis=0) + 0.02)
    return np.column_stack([standardised(x, quality.mean, quality.deviation), centre, np.abs(centre[:, :-1]), spread])


def with_ones(x: np.ndarray) -> np.ndarray:
    """Appends ones for the intercept: float64 [m, inputs + 1]."""
    return np.column_stack([x, np.ones(len(x))])
