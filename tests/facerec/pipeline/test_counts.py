"""Counts in words."""

import pytest

from facerec.pipeline.counts import counted, told


@pytest.mark.parametrize(("noun", "many"), [("tar file", "tar files"), ("day", "days"), ("box", "boxes")])
def test_one_and_many(noun, many):
    assert [counted(number, noun) for number in (0, 1, 2)] == [f"0 {many}", f"1 {noun}", f"2 {many}"]


def test_other_formats_stay():
    results = {"faces": 1234, "share": 0.25, "deep": {"x": 0.5}}
    assert told("{faces:,} {faces:d} {share:.0%} {deep[x]:.2f} {faces:new face}")(results) == (
        "1,234 1234 25% 0.50 1,234 new faces"
    )
