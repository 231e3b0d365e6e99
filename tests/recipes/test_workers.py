"""The processes of the recipe's commands."""

import logging

import pytest
import workers

from clustering.similarity import same_recogniser


@pytest.fixture
def _as_before():
    yield
    same_recogniser.learned_elsewhere.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_as_before")
def test_models_of_other_rounds_are_no_surprise(monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("facerec.pipeline.command_line.run", lambda *_, **__: 3)
    with pytest.raises(SystemExit, match="3"):
        workers._work("eval", ["clusters"])
    assert not same_recogniser.learned_elsewhere.isEnabledFor(logging.WARNING)
    assert same_recogniser.logger.isEnabledFor(logging.WARNING)
