"""Settings as dataclasses: what a field may hold stands in its annotation, and is checked in one place.

Example:
    >>> @dataclass
    ... class Radius:
    ...     min_similarity: Cosine = 0.5
    ...     k: Count = 10
    >>> check_settings(Radius(k=0))
    Traceback (most recent call last):
    facerec.pipeline.files.InputError: k is 0; it must be a whole number from 1 on
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from typing_extensions import Self

from facerec.pipeline.files import InputError
from facerec.pipeline.values import MOST_WHOLE, check_type, shown, whole

Range = tuple[float, float] | list[Any]
"""What ``tune`` searches: from a number to another, or the values of a list."""

T = TypeVar("T")


def check_number(name: str, value: Any, low: float, high: float = np.inf) -> None:
    """Refuses a hyper-parameter that is not a number between `low` and `high`.

    Raises:
        InputError: Naming the parameter, its value and the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or _is_wide(value):
        limits = f"from {low} to {high}" if high < np.inf else f"from {low} on"
        raise InputError(f"{name} is {shown(value)}; it must be a number {limits}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuses a hyper-parameter that is none of its choices.

    Raises:
        InputError: Naming the parameter, its value and the choices.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise InputError(f"{name} is {shown(value)}; it must be one of {', '.join(map(str, choices))}")


def check_positive(name: str, value: Any) -> None:
    """Refuses a setting that is not a number above 0.

    Raises:
        InputError: Naming the setting and its value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or _is_wide(value):
        raise InputError(f"{name} is {shown(value)}; it must be a positive number")


def _is_wide(value: float) -> bool:
    return isinstance(value, int) and abs(value) > MOST_WHOLE


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, as the annotation of a field; whole ones if the field is an int."""

    low: int
    high: float = np.inf


class Positive:
    """Numbers above 0, as the annotation of a field."""


Cosine = Annotated[float, Within(-1, 1)]
Share = Annotated[float, Within(0, 1)]
Count = Annotated[int, Within(1)]
Neighbors = Annotated[int, Within(1, 4096)]
Seed = Annotated[int, Within(0)]
PositiveFloat = Annotated[float, Positive]


def check_settings(settings: Any) -> None:
    """Checks the fields of a dataclass against their annotations: numbers `Within`, `Positive`, `Literal`, bool, and
    other dataclasses.

    NumPy numbers become Python's.

    Raises:
        InputError: Naming the first field that does not fit, its value and what fits.
    """
    for name, hint in _hints(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        if isinstance(value, np.generic):  # a NumPy number is written to no YAML file
            value = value.item()
            object.__setattr__(settings, name, value)
        kind, rule = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
        _check_field(name, value, kind, rule)


def _check_field(name: str, value: Any, kind: Any, rule: Any) -> None:
    """Checks a value by the type of its field and the rule that is annotated, if there is one."""
    if value is None and NoneType in get_args(kind):
        return
    if is_dataclass(kind) and isinstance(kind, type):
        check_type(name, value, kind)
    elif kind is bool:
        check_choice(name, value, [True, False])
    elif get_origin(kind) is Literal:
        check_choice(name, value, get_args(kind))
    elif rule is Positive:
        check_positive(name, value)
    elif isinstance(rule, Within):
        if kind is int or int in get_args(kind):
            whole(name, value, rule.low, MOST_WHOLE if rule.high == np.inf else int(rule.high))
        else:
            check_number(name, value, rule.low, rule.high)


@cache
def _hints(settings: type) -> dict[str, Any]:
    hints = get_type_hints(settings, include_extras=True)
    return {item.name: hints[item.name] for item in fields(settings)}


class Parameters:
    """The settings of an estimator, a dataclass, as scikit-learn asks for them; `sklearn.base.clone` copies it.

    Attributes:
        name: Its name in messages.
    """

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def _names(cls) -> list[str]:
        return [item.name for item in fields(cls)]

    @classmethod
    def _check_names(cls, settings: Mapping[str, Any]) -> None:
        check_names(f"{cls.name} has no setting", cls.name, settings, cls._names())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its settings by name, its network among them if it has one."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Changes settings in place.

        Raises:
            InputError: Unknown names, or values that it refuses; then nothing has changed.
        """
        self._check_names(params)
        checked = replace(self, **params)
        for name in params:
            setattr(self, name, getattr(checked, name))
        return self


def divided(name: str, settings: Mapping[str, Any], own: Sequence[str], training: type[T]) -> tuple[dict[str, Any], T]:
    """Parts the settings of a training into a backend's hyper-parameters and the training's own.

    Args:
        name: Name of the backend, for messages.
        settings: Settings of both kinds, by name.
        own: Names of the hyper-parameters.
        training: Dataclass of the training's settings.

    Raises:
        InputError: Settings of neither kind.
    """
    theirs = [item.name for item in fields(training)]  # type: ignore[arg-type]
    check_names(f"{name} has no setting", name, settings, [*own, *theirs])
    return (
        {key: value for key, value in settings.items() if key in own},
        training(**{key: value for key, value in settings.items() if key in theirs}),
    )


def keywords(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings, as they stand in YAML, that can be given to `Clusterer.learn` by name.

    Raises:
        InputError: The seed, which is given by itself; names that no setting can have.
    """
    if "seed" in settings:
        raise InputError("settings: seed is no setting of a training; give --seed, or seed in Python")
    odd = [key for key in settings if not isinstance(key, str) or key in ("cls", "X", "y")]
    if odd:
        raise InputError(f"settings: there is no setting {shown(odd[0])}")
    return dict(settings)


def check_names(complaint: str, name: str, settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuses settings of other names than the known ones.

    Raises:
        InputError: The complaint, the wrong names, and the known ones.
    """
    unknown = sorted(map(str, set(settings) - set(known)))
    if unknown:
        raise InputError(f"{complaint} {', '.join(unknown)}; {name} has {', '.join(known)}")
