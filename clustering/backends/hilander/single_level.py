"""LANDER: the clusters of Hi-LANDER's lowest level (paper section 3.3), for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from typing_extensions import Self

from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.meta_training import Merging
from clustering.learning.labelled_faces import LabelledFaces
from clustering.settings import Range, Within
from facerec.pipeline.files import InputError


@dataclass(eq=False)
class Lander(HiLander):
    """LANDER, the single-level clustering of the paper's ablation: Hi-LANDER that stops after its lowest level.

    It is meta-trained like Hi-LANDER.

    Attributes:
        adaptive: See `HiLander`. The paper does not raise p_tau.
        merging: See `HiLander`. The paper uses edges.
        levels: Always 1.
    """

    name: ClassVar[str] = "lander"
    pretrained: ClassVar[Path | None] = None
    search_space: ClassVar[Mapping[str, Range]] = {"p_tau": HiLander.search_space["p_tau"], "k": [5, 10, 20]}

    adaptive: bool = False
    merging: Merging = "edges"
    levels: Annotated[int | None, Within(1)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels != 1:
            raise InputError(f"levels is {self.levels}; lander has 1, take hilander for more")

    @classmethod
    def _learn(cls, faces: LabelledFaces, seed: int, settings: Mapping[str, Any]) -> Self:
        return super()._learn(faces, seed, {"merging": "edges", **settings, "adaptive": False})
