"""Checks of hyper-parameters, and the ranges that tuning searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec.pipeline.files import InputError

Range = tuple[float, float] | list[Any]


def check_number(name: str, value: Any, low: float, high: float = np.inf) -> None:
    """Refuses a hyper-parameter that is not a number between `low` and `high`.

    Raises:
        InputError: Naming the parameter, its value and the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; it must be a number from {low} to {high}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuses a hyper-parameter that is none of its choices.

    Raises:
        InputError: Naming the parameter, its value and the choices.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(str, choices))}")


def check_whole(name: str, value: Any, low: int, high: float = np.inf) -> None:
    """Refuses a hyper-parameter that is not a whole number between `low` and `high`.

    Raises:
        InputError: Naming the parameter, its value and the range.
    """
    check_number(name, value, low, high)
    if not isinstance(value, int):
        raise InputError(f"{name} is {value}; it must be a whole number")
