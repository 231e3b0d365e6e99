"""The figure that is said is one that there are enough errors for."""

import pytest

from eval.report.headline import headline


def metrics(**points: tuple[float | None, bool, bool]) -> dict:
    rates = {f"1e-{name[1:]}": point for name, point in points.items()}
    return {
        "fnmr_at_fmr": {rate: value for rate, (value, _, _) in rates.items()},
        "counts": {"verification": {
            rate: {"supported": supported, "few_errors": few} for rate, (_, supported, few) in rates.items()
        }},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({"r1": (0.1, True, False), "r2": (0.2, True, False), "r3": (0.3, False, True)}, "FNMR 20.00% at FMR 1e-2"),
        ({"r1": (0.1, True, False), "r2": (0.2, True, True)}, "FNMR 10.00% at FMR 1e-1"),
        ({"r1": (0.1, True, True), "r2": (0.2, False, True)}, "FNMR 10.00% at FMR 1e-1, from few pairs"),
        ({"r1": (None, False, True)}, "no FNMR can be given"),
    ],
)
def test_the_lowest_rate_with_enough_errors_is_said(points, said):
    assert headline(metrics(**points)) == said
