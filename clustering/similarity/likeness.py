"""How alike faces of one person are, and faces of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from clustering.partition import consecutive
from clustering.similarity.centres import TINY, belonging, other_centre, sample

PRIOR_STEPS = 20


@dataclass(frozen=True)
class Likeness:
    """How alike faces are to their own people and to the most similar other people.

    Attributes:
        own: Cosines of faces with the mean of their identity's other faces.
        other: Cosines of faces with the most similar centre of another identity.
        identities: How many there are.
    """

    own: np.ndarray
    other: np.ndarray
    identities: int

    @classmethod
    def of_people(cls, embeddings: np.ndarray, labels: np.ndarray) -> Likeness:
        """Measured on readable faces of known identity, float32 [n, d] and int64 [n]."""
        labels = consecutive(labels)
        if labels.max(initial=-1) < 1:
            return cls(np.zeros(0), np.zeros(0), 0)
        rows = sample(np.flatnonzero(labels >= 0))
        several = np.bincount(labels[labels >= 0])[labels[rows]] > 1
        own = belonging(embeddings, labels)[rows[several]]
        return cls(own, other_centre(embeddings, labels, rows), int(labels.max()) + 1)

    @classmethod
    def of_clusters(cls, embeddings: np.ndarray, labels: np.ndarray) -> Likeness:
        """Estimated from clusters, with no labels at all; those of one face are left out."""
        sizes = np.bincount(labels[labels >= 0], minlength=1)
        several = consecutive(np.where((labels >= 0) & (sizes[labels] > 1), labels, -1))
        return cls.of_people(embeddings, several).mirrored()

    def mirrored(self) -> Likeness:
        """With the lower half of `other`, and its mirror image at the median in place of the upper one.

        Identities that are in pieces, or have two names, raise the upper half: the nearest other is the same one.
        """
        if not len(self.other):
            return self
        median = np.median(self.other)
        lower = self.other[self.other <= median]
        return Likeness(self.own, np.concatenate([lower, 2 * median - lower]), self.identities)

    def threshold(self, false_match: float, among: int = 0) -> float:
        """The smallest cosine that at most this share of `other` reach; -1 if there is nobody else.

        Args:
            false_match: The share.
            among: If there are so many identities where the threshold is used, and fewer here, the share is reduced
                in proportion: the most similar of more others is more similar.
        """
        if not len(self.other):
            return -1.0
        falling = np.sort(self.other)[::-1]
        share = false_match * min(1.0, self.identities / max(among, 1))
        return float(np.nextafter(falling[min(int(share * len(falling)), len(falling) - 1)], np.float32(2)))

    def losing(self, share: float) -> float:
        """The cosine that all but this share of `own` reach: stricter, a threshold costs more right faces than that."""
        return float(np.quantile(self.own, share)) if len(self.own) else 1.0

    def probability(self, cosines: np.ndarray) -> np.ndarray:
        """Float32 [n] in [0, 1]: that each of these cosines is one with the own identity.

        Logistic regression gives the ratio of both likelihoods; how many of the cosines are with the own identity is
        then found from the cosines themselves by expectation maximisation (Saerens et al. 2002, equation 2.2). Ones
        where there is nothing to tell them apart by.
        """
        if not len(self.own) or not len(self.other) or not len(cosines):
            return np.ones(len(cosines), dtype=np.float32)
        x = np.concatenate([self.own, self.other]).reshape(-1, 1)
        y = np.arange(len(x)) < len(self.own)
        ratio = LogisticRegression(C=1e3, class_weight="balanced").fit(x, y)
        logits, share = ratio.decision_function(np.reshape(cosines, (-1, 1))), 0.5
        for _ in range(PRIOR_STEPS):
            share = float(np.clip(expit(logits + logit(share)).mean(), TINY, 1 - TINY))
        return np.asarray(expit(logits + logit(share)), dtype=np.float32)
