"""The processes of the recipe's commands."""

import logging

import faiss
import pytest
import torch
import workers

from clustering.graph.in_threads import use_threads
from clustering.similarity import same_recogniser
from facerec.pipeline.same_recogniser import logger as check_logger


@pytest.fixture
def _as_before():
    yield
    same_recogniser.learned_elsewhere.setLevel(logging.NOTSET)
    use_threads(1)


@pytest.mark.usefixtures("_as_before")
def test_models_of_other_rounds_are_no_surprise(monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("facerec.pipeline.command_line.run", lambda *_, **__: 3)
    with pytest.raises(SystemExit, match="3"):
        workers._work("eval", ["clusters"])
    assert not same_recogniser.learned_elsewhere.isEnabledFor(logging.WARNING)
    assert check_logger.isEnabledFor(logging.WARNING)


@pytest.mark.usefixtures("_as_before")
def test_each_works_with_its_share_of_the_cores(monkeypatch):
    """A process that is forked would have one thread."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("facerec.pipeline.command_line.run", lambda *_, **__: 0)
    for said in ("3", "2,1"):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        with pytest.raises(SystemExit, match="0"):
            workers._work("eval", ["clusters"])
        assert faiss.omp_get_max_threads() == torch.get_num_threads() == int(said[0])
