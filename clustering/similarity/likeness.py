"""How alike faces of one person are, and faces of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from clustering.partition import consecutive, own_cluster_size
from clustering.similarity.centres import TINY, cosine_to_rest_of_cluster, evenly_spaced, other_centre

PRIOR_STEPS = 20


@dataclass(frozen=True)
class Likeness:
    """How alike faces are to their own people and to the most similar other people.

    Attributes:
        genuine: Cosines of faces with the mean of their identity's other faces.
        impostor: Cosines of faces with the most similar centre of another identity.
        identities: The number of identities.
    """

    genuine: np.ndarray
    impostor: np.ndarray
    identities: int

    @classmethod
    def of_people(cls, embeddings: np.ndarray, labels: np.ndarray) -> Likeness:
        """Measures it on readable faces of known identity, float32 [n, d] and int64 [n]."""
        labels = consecutive(labels)
        if labels.max(initial=-1) < 1:
            return cls(np.zeros(0), np.zeros(0), 0)
        rows = evenly_spaced(np.flatnonzero(labels >= 0))
        several = own_cluster_size(labels)[rows] > 1
        genuine = cosine_to_rest_of_cluster(embeddings, labels)[rows[several]]
        return cls(genuine, other_centre(embeddings, labels, rows), int(labels.max()) + 1)

    @classmethod
    def of_clusters(cls, embeddings: np.ndarray, labels: np.ndarray) -> Likeness:
        """Estimates it from clusters, without any labels; clusters of one face are left out."""
        several = consecutive(np.where(own_cluster_size(labels) > 1, labels, -1))
        return cls.of_people(embeddings, several).symmetrised()

    def symmetrised(self) -> Likeness:
        """The same with the upper half of `impostor` replaced by the mirror image of the lower half at the median.

        Identities that are in pieces, or have two names, inflate the upper half: the nearest other identity is the
        same person.
        """
        if not len(self.impostor):
            return self
        median = np.median(self.impostor)
        lower = self.impostor[self.impostor <= median]
        return Likeness(self.genuine, np.concatenate([lower, 2 * median - lower]), self.identities)

    def threshold(self, false_match: float, population: int = 0) -> float:
        """The smallest cosine that at most this share of `impostor` reaches; -1 if there is no other identity.

        Args:
            false_match: The share.
            population: Identities where the threshold is used. If there are more than here, the share is reduced in
                proportion: the most similar of more others is more similar.
        """
        if not len(self.impostor):
            return -1.0
        falling = np.sort(self.impostor)[::-1]
        share = false_match * min(1.0, self.identities / max(population, 1))
        return float(np.nextafter(falling[min(int(share * len(falling)), len(falling) - 1)], np.float32(2)))

    def genuine_quantile(self, share: float) -> float:
        """The cosine that all but this share of `genuine` reach. A stricter threshold loses more of the right faces."""
        return float(np.quantile(self.genuine, share)) if len(self.genuine) else 1.0

    def probability(self, cosines: np.ndarray) -> np.ndarray:
        """Float32 [n] in [0, 1]: the probability that each of these cosines is one with the face's own identity.

        Logistic regression gives the ratio of both likelihoods. The share of genuine ones among the cosines is then
        found from the cosines themselves by expectation maximisation (Saerens et al. 2002, equation 2.2). Ones if
        there is nothing to tell both apart by.
        """
        if not len(self.genuine) or not len(self.impostor) or not len(cosines):
            return np.ones(len(cosines), dtype=np.float32)
        from sklearn.linear_model import LogisticRegression  # slow to import

        x = np.concatenate([self.genuine, self.impostor]).reshape(-1, 1)
        y = np.arange(len(x)) < len(self.genuine)
        ratio = LogisticRegression(C=1e3, class_weight="balanced").fit(x, y)
        logits, share = ratio.decision_function(np.reshape(cosines, (-1, 1))), 0.5
        for _ in range(PRIOR_STEPS):
            share = float(np.clip(expit(logits + logit(share)).mean(), TINY, 1 - TINY))
        return np.asarray(expit(logits + logit(share)), dtype=np.float32)
