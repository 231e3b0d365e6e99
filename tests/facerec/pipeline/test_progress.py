"""Work that is told of while it goes on."""

import logging

import pytest

from facerec.pipeline import progress as module
from facerec.pipeline.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass with each look at the clock: 10."""
    seconds = iter(range(0, 10**6, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))


def test_a_line_every_half_minute_without_a_terminal(clock, caplog):
    with caplog.at_level(logging.INFO):
        assert list(progress(range(7), "pack", "faces")) == list(range(7))
    # looks at the clock at 0, then at 10, 20, 30 (3 of 7 are done, 4 take 40 s), ... 60 (6 are done)
    assert caplog.messages == [
        "pack: 3 of 7 faces, less than a minute left", "pack: 6 of 7 faces, less than a minute left"
    ]  # fmt: skip


def test_what_was_done_before_counts_only_for_the_total(clock, caplog):
    with caplog.at_level(logging.INFO), progress(None, "embed", "faces", 1000, done=900) as bar:
        bar.set_postfix(loss="0.5")
        for _ in range(3):
            bar.update(1)
    # 3 in 30 s; 97 are left, which take 970 s
    assert caplog.messages == ["embed: 903 of 1,000 faces, about 16 min left, loss 0.5"]


def test_without_a_total_or_hidden_it_says_less(clock, caplog):
    with caplog.at_level(logging.INFO):
        list(progress(iter(range(4)), "tuning", "trials"))
        list(progress(range(10), "tuning", "trials", hidden=True))
    assert caplog.messages == ["tuning: 3 trials"]
