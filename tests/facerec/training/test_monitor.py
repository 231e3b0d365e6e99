"""What a training says of itself, by hand."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from facerec.devices.device import autocast
from facerec.losses.head import Outcome
from facerec.pipeline.files import InputError
from facerec.training.monitor import Monitor
from facerec.training.pair_validation import PairSet
from facerec.training.training_set import TrainingSet

LABELS = torch.tensor([0, 1])


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so. TensorBoard reads its files by the second that is in their names."""
    found = SimpleNamespace(now=0.0)
    time = SimpleNamespace(perf_counter=lambda: found.now, time=lambda: found.now)
    for module in ("facerec.training.monitor", "tensorboard.summary.writer.event_file_writer"):
        monkeypatch.setattr(f"{module}.time", time)
    return found


def test_figures_are_means_of_the_steps_since_the_last_ones(tmp_path, clock):
    said = []
    bar = SimpleNamespace(set_postfix=lambda **words: said.append(words))
    monitor = Monitor(tmp_path, 0, 12, 2, bar)
    cosines = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.5, 0.4]])

    def take(step: int, seconds: float):
        clock.now += seconds
        nearest = LABELS if step < 4 else torch.tensor([1, 1])
        monitor.add(step, Outcome(torch.tensor(step + 1.0), LABELS, nearest, cosines), 0.1 * step)

    def validated(_: PairSet) -> float:
        clock.now += 100  # which is none of training's
        return 0.5

    for step in range(9):
        take(step, 1)
    assert (monitor.last, said) == ({}, [])
    take(9, 1)
    assert monitor.last == {"loss": 5.5, "accuracy": pytest.approx(0.7), "images_per_second": 2}
    monitor.validate(10, [PairSet("one", [], np.zeros(0, bool))], validated)
    take(10, 2)
    take(11, 2)
    assert monitor.last == {"loss": 11.5, "accuracy": 0.5, "images_per_second": 1, "validation/one": 0.5}
    assert said == [
        {"loss": "5.500", "accuracy": "0.700", "images": "2/s"},
        {"loss": "11.500", "accuracy": "0.500", "images": "1/s"},
    ]
    monitor.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    written = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert written["loss"] == [(10, 5.5), (12, 11.5)]
    assert written["learning_rate"] == [(10, pytest.approx(0.9)), (12, pytest.approx(1.1))]
    assert written["cosine/own"][0] == (10, pytest.approx(0.7))
    assert written["cosine/nearest_other"][0] == (10, pytest.approx(0.35))  # 0.3 and 0.4
    assert written["cosine/margin"][0] == (10, pytest.approx(0.35))
    assert written["validation/one"] == [(10, 0.5)]


@pytest.mark.parametrize("stop", [1, 7, 10, 13])
def test_an_interrupted_training_has_the_figures_of_an_undisturbed_one(tmp_path, clock, stop):
    bar = SimpleNamespace(set_postfix=lambda **words: None)
    cosines = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.5, 0.4]])

    def take(monitor: Monitor, steps: range):
        for step in steps:
            clock.now += 1
            monitor.add(step, Outcome(torch.tensor(1 / (step + 1)), LABELS, LABELS * (step % 3), cosines), 0.1 * step)
        monitor.close()

    straight = Monitor(tmp_path / "straight", 0, 15, 2, bar)
    take(straight, range(15))
    killed = Monitor(tmp_path / "resumed", 0, 15, 2, bar)
    take(killed, range(stop))
    saved = json.loads(json.dumps(killed.since_figures()))
    take(Monitor(tmp_path / "resumed", stop, 15, 2, bar, saved), range(stop, 14))  # killed before it saved a state
    resumed = Monitor(tmp_path / "resumed", stop, 15, 2, bar, saved)
    take(resumed, range(stop, 15))
    assert resumed.last == straight.last
    assert resumed.last["images_per_second"] == 2
    written = []
    for folder in ("straight", "resumed"):
        events = EventAccumulator(str(tmp_path / folder)).Reload()
        written.append({name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]})
    assert written[0] == written[1]
    assert [step for step, _ in written[0]["loss"]] == [10, 15]


@pytest.mark.parametrize("loss", [torch.nan, torch.inf])
def test_one_loss_that_is_not_finite_is_enough(tmp_path, loss):
    monitor = Monitor(tmp_path, 0, 3, 2, None)
    monitor.add(0, Outcome(torch.tensor(loss), LABELS, LABELS, None), 0.1)
    monitor.add(1, Outcome(torch.tensor(1.0), LABELS, LABELS, None), 0.1)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step 3; lower --learning-rate"):
        monitor.add(2, Outcome(torch.tensor(1.0), LABELS, LABELS, None), 0.1)
    monitor.close()


def test_a_full_disk_is_told_once(tmp_path, monkeypatch, capfd):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    with pytest.raises(OSError, match="No space left"), contextlib.closing(Monitor(tmp_path, 0, 2, 2, None)) as monitor:
        monitor.show(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), 0)
    assert capfd.readouterr().err == ""


class Shades:
    """A store whose pictures have one shade each."""

    def __init__(self, *shades: int):
        self.shades = shades

    def read(self, row: int) -> np.ndarray:
        return np.full((8, 8, 3), self.shades[row], np.uint8)


def test_the_projector_shows_faces_with_their_labels_and_the_directions_of_their_embeddings(tmp_path):
    """Rows 2, 0 and 1 of two stores; the network gives a shade, between -1 and 1, and a half."""
    stores, rows = (Shades(0, 51, 102), Shades(255, 204)), np.array([[0, 0, 1], [2, 0, 1]])
    faces = TrainingSet(stores, *rows, np.array([1, 0, 1]), np.ones(3, np.float32))
    monitor, shown = Monitor(tmp_path, 0, 9, 2, None), []
    monitor.close()
    monitor.writer = SimpleNamespace(add_embedding=lambda *given: shown.append(given))
    cpu = torch.device("cpu")
    monitor.project(
        lambda given: nn.functional.pad(given[:, 0, 0, :1], (0, 1), value=0.5), faces, 4, cpu, autocast(cpu)
    )
    ((embeddings, names, pictures, step, _),) = shown
    assert (names, step) == (["0", "1", "1"], 9)
    np.testing.assert_allclose(pictures[:, 0, 0, 0] * 255, [0, 102, 204], atol=1e-4)
    expected = np.array([[-1, 0.5], [-0.2, 0.5], [0.6, 0.5]])
    np.testing.assert_allclose(embeddings, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_the_projector_takes_the_place_of_one_of_an_interrupted_run_without_a_word(tmp_path, capsys):
    faces = TrainingSet((Shades(0, 51),), *np.array([[0, 0], [0, 1], [0, 1]]), np.ones(2, np.float32))
    for _ in range(2):
        monitor, cpu = Monitor(tmp_path, 0, 9, 2, None), torch.device("cpu")
        monitor.project(lambda given: given[:, 0, 0], faces, 4, cpu, autocast(cpu))
        monitor.close()
    assert (tmp_path / "00009" / "faces" / "tensors.tsv").is_file()
    assert capsys.readouterr().out == ""
