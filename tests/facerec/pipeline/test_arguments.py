import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from facerec.pipeline.arguments import Seed, set_typed_fields
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Options:
    """One field of each kind."""

    count: int | None = 1
    share: float = 0.5
    flip: bool = True
    seed: Seed = 0
    folder: Path | None = None
    files: Path | list[Path] | None = None
    margin: float | list[float] | None = None
    kind: Literal["small", "large"] = "small"

    def __post_init__(self) -> None:
        set_typed_fields(self)


def test_fields_become_what_their_annotations_say():
    options = Options(
        count=np.int64(3), share=np.float32(0.25), flip=np.bool_(False), seed=np.uint8(7), folder="a",
        files=("b", Path("c")), margin=np.array([1.0, 0.5]),
    )  # fmt: skip
    found = dataclasses.astuple(options)
    assert found == (3, 0.25, False, 7, Path("a"), [Path("b"), Path("c")], [1.0, 0.5], "small")
    assert [type(value) for value in found[:4]] == [int, float, bool, int]
    assert Options(count=None, files="d", margin=2).files == Path("d")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("count", 2.0, "--count: 2.0; expected a number without a fraction"),
        ("count", True, "--count: True; expected a number without a fraction"),
        ("share", "0.5", "--share: '0.5'; expected a number"),
        ("share", None, "--share: None; expected a number"),
        ("flip", "false", "--flip: 'false'; expected True or False"),
        ("flip", 0, "--flip: 0; expected True or False"),
        ("seed", -1, "--seed: -1; expected a number at least 0"),
        ("folder", np.zeros(3), r"--folder: array\(\[0., 0., 0.\]\); expected a path"),
        ("files", 3, "--files: 3; expected a path or a list"),
        ("margin", "0.2", "--margin: '0.2'; expected a number or a list"),
        ("kind", "huge", "--kind: 'huge'; expected one of small, large"),
        ("kind", None, "--kind: None; expected one of small, large"),
    ],
)
def test_values_of_other_types_are_refused(name, value, said):
    with pytest.raises(InputError, match=said):
        Options(**{name: value})
