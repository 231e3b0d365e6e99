"""Whitening: the directions in which photographs of one person differ count less.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006), with the covariance shrunk as by
Ledoit and Wolf (2004):

    S = 1/n sum_i (x_i - m_y(i)) (x_i - m_y(i))^T,  W = (1 - a) S + a tr(S)/d I,  x' = W^(-1/2) x / |W^(-1/2) x|

with m_p the mean of person p and a the shrinkage. A recogniser that was trained on few people spends directions on what
tells those people apart. People whom it has not seen vary there for no reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import normalize, readable_rows, unit_rows
from facerec.pipeline.files import InputError
from facerec.pipeline.values import as_labels

FMRS = (1e-2, 1e-3)
"""The FNMR at these, in the mean, says whether whitening helps."""
LEAST_GAIN = 0.05
"""Share of the FNMR that has to go. Where .3 % went, with a strong recogniser, clusters got worse; where 14 % or more
did, better (docs/how-to/whiten-embeddings.md)."""
FOLDS = 10
MOST_FITTED, MOST_COMPARED = 200_000, 3_000
"""Faces that the covariance is measured on, and faces whose pairs are compared."""
LEAST_PEOPLE = 4


@dataclass(frozen=True)
class Whitening:
    """A linear map of embeddings, and what it does for people that it was not made from.

    Attributes:
        matrix: float64 [d, d], W^(-1/2).
        of_others: float64 [FOLDS, d, d], the same of nine tenths of the people, without a tenth each.
        fold: int8 [n], which tenth each face of the n is in; -1 for faces that the maps were not made from.
        before: FNMR of the people as they are, the mean over `FMRS`.
        after: The same of people whom `held_out` whitens.
    """

    matrix: np.ndarray
    of_others: np.ndarray
    fold: np.ndarray
    before: float
    after: float

    @property
    def helps(self) -> bool:
        """Whether held-out people are told apart better with it, by `LEAST_GAIN`."""
        return self.after < (1 - LEAST_GAIN) * self.before

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Whitens float32 [n, d]; unit rows, and zero rows stay what they are."""
        return _whitened(embeddings, self.matrix)

    def held_out(self, embeddings: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
        """Whitens faces of the people that it was made from as it whitens others: each by a map without that person.

        On these a threshold can be chosen.

        Args:
            embeddings: float32 [n, d], all that it was made from.
            rows: Of the m faces that are wanted.

        Returns:
            float32 [m, d], unit rows.
        """
        faces, fold = embeddings[rows], self.fold[rows]
        found = _whitened(faces, self.matrix)
        for number in np.unique(fold[fold >= 0]):
            found[fold == number] = _whitened(faces[fold == number], self.of_others[number])
        return found


def fit_whitening(embeddings: np.ndarray, labels: np.ndarray, seed: int = 0) -> Whitening:
    """Measures the covariance within people.

    Memory is for `MOST_FITTED` faces at most. Only rows that are not of unit length are copied, all of them.

    Args:
        embeddings: [n, d], unit rows, others are normalised; zero rows are left out.
        labels: int64 [n] identities, -1 for unknown. People of one face tell nothing.
        seed: Seed of the folds, and of the people that are taken where there are very many.

    Raises:
        InputError: Embeddings that cannot be used, labels of another number or type, or fewer than `LEAST_PEOPLE`
            people with two faces or more.
    """
    embeddings = unit_rows(embeddings)
    labels = as_labels("labels", labels, len(embeddings))
    rows, person = (order[:MOST_FITTED] for order in _by_people(embeddings, labels, seed))
    faces, fold = embeddings[rows], np.full(len(embeddings), -1, np.int8)
    fold[rows] = person % FOLDS
    of_others = [_matrix(faces[kept], person[kept]) for kept in (person % FOLDS != number for number in range(FOLDS))]
    found = Whitening(_matrix(faces, person), np.stack(of_others), fold, before=np.nan, after=np.nan)
    place = np.arange(len(person)) - np.searchsorted(person, person)  # of a face among its person's
    few = np.flatnonzero(place < MOST_COMPARED // LEAST_PEOPLE)[:MOST_COMPARED]  # else they may all be one person's
    shown, names = rows[few], person[few]
    before, after = _fnmr(embeddings[shown], names), _fnmr(found.held_out(embeddings, shown), names)
    return replace(found, before=before, after=after)


def _by_people(embeddings: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of people with two faces or more, and their people, numbered at random from 0, ascending."""
    rows = np.flatnonzero((labels >= 0) & readable_rows(embeddings))
    _, person, sizes = np.unique(labels[rows], return_inverse=True, return_counts=True)
    several = np.flatnonzero(sizes > 1)
    if len(several) < LEAST_PEOPLE:
        raise InputError(f"{counted(len(several), 'person')} with two faces or more; whitening needs {LEAST_PEOPLE}")
    number = np.full(len(sizes), -1)
    number[np.random.default_rng(seed).permutation(several)] = np.arange(len(several))
    order = np.argsort(number[person], kind="stable")[np.sum(sizes == 1) :]  # those of one face come first
    return rows[order], number[person[order]]


def _matrix(embeddings: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Float64 [d, d], W^(-1/2), of faces in the order of their people."""
    from sklearn.covariance import LedoitWolf  # here, as scikit-learn changes the environment when it is imported

    starts = np.flatnonzero(np.diff(person, prepend=-1))
    sizes = np.diff(starts, append=len(person))
    means = np.add.reduceat(embeddings, starts, dtype=np.float64) / sizes[:, None]
    within = LedoitWolf(assume_centered=True).fit(embeddings - np.repeat(means, sizes, axis=0)).covariance_
    values, vectors = np.linalg.eigh(within)
    values = np.maximum(values, np.finfo(np.float32).eps)  # at most 1, of unit rows; 0 where faces are copies
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _whitened(embeddings: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return normalize(embeddings @ matrix).astype(np.float32)


def _fnmr(embeddings: np.ndarray, person: np.ndarray) -> float:
    """The mean of FNMR over `FMRS`, of all pairs of faces [n, d]; person int64 [n]."""
    one, other = np.triu_indices(len(embeddings), 1)
    cosines, mated = (embeddings @ embeddings.T)[one, other], person[one] == person[other]
    impostors = np.sort(cosines[~mated])[::-1]
    thresholds = impostors[[int(fmr * len(impostors)) for fmr in FMRS]]
    return float(np.mean(cosines[mated] <= thresholds[:, None]))
