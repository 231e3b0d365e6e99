import errno

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from facerec.backbones import build
from facerec.pipeline.files import InputError, read_yaml, write_yaml
from facerec.pipeline.safetensors_file import save_tensors
from facerec.recognisers.model_folder import load_model, load_weights, save_model
from facerec.training.state import load_state, load_states, remove_states, save_state, save_states

CONFIG = {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 8}


def saved(folder):
    folder.mkdir()
    torch.manual_seed(0)
    network = build("mobilefacenet", 8, 32, 0.125)
    network(torch.randn(4, 3, 32, 32))
    save_model(folder, network, CONFIG)
    return network.eval()


def test_model_comes_back_as_it_was(tmp_path):
    network = saved(tmp_path / "model")
    loaded, config = load_model(tmp_path / "model")
    faces = torch.randn(3, 3, 32, 32)
    assert torch.equal(network(faces), loaded(faces))
    assert config == CONFIG
    assert not loaded.training


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_that_were_shortened_are_float32_again(tmp_path, kind):
    network = saved(tmp_path / "model")
    save_tensors(tmp_path / "model" / "model.safetensors", network.to(kind).state_dict())
    loaded, _ = load_model(tmp_path / "model")
    faces = torch.randn(3, 3, 32, 32)
    assert torch.equal(loaded(faces), network.float()(faces))


def test_damaged_models_are_refused(tmp_path):
    saved(tmp_path / "model")
    config, weights = tmp_path / "model" / "config.yaml", tmp_path / "model" / "model.safetensors"
    whole = weights.read_bytes()
    cases = []
    for change, text in [
        ({"backbone": None}, "backbone is None"),
        ({"width": 0.25}, "does not fit config.yaml"),
        ({"backbone": "vgg"}, "'vgg' is unknown"),
    ]:
        write_yaml(config, CONFIG | change)
        with pytest.raises(InputError) as caught:
            load_model(tmp_path / "model")
        cases.append((text, str(caught.value)))
    write_yaml(config, CONFIG)
    weights.write_bytes(whole[:1000])
    with pytest.raises(InputError) as caught:
        load_model(tmp_path / "model")
    cases.append(("it may be truncated", str(caught.value)))
    assert all(text in message for text, message in cases), cases
    assert read_yaml(config) == CONFIG


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_training_state_goes_on_bit_for_bit(tmp_path, kind):
    def make():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        return model, kind(model.parameters(), lr=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))

    def step(model, optimizer, number):
        optimizer.zero_grad()
        inputs = torch.arange(20.0).reshape(5, 4).sin() * (number + 1)
        model(inputs).pow(3).sum().backward()
        optimizer.step()

    straight, broken, resumed = make(), make(), make()
    for number in range(4):
        step(*straight, number)
    for number in range(2):
        step(*broken, number)
    save_state(tmp_path / "state", *broken, {"step": 2, "skipped": [["a", 1]]})
    assert load_state(tmp_path / "state", *resumed) == {"step": 2, "skipped": [["a", 1]]}
    for number in range(2, 4):
        step(*resumed, number)
    for name, value in straight[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name


def test_foreign_or_damaged_state_is_refused(tmp_path):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    save_state(tmp_path / "state", model, optimizer, {"step": 1})
    other = nn.Linear(5, 3)
    with pytest.raises(InputError, match="not readable as the state of this training"):
        load_state(tmp_path / "state", other, torch.optim.SGD(other.parameters(), lr=0.1))
    (tmp_path / "state").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="not readable as the state of this training"):
        load_state(tmp_path / "state", model, optimizer)


def test_full_disk_leaves_the_last_good_state_and_room_again(tmp_path, monkeypatch):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    save_state(tmp_path / "state", model, optimizer, {"step": 1})

    def full(_, path, *__):
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device: .*state.partial") as caught:
        save_state(tmp_path / "state", model, optimizer, {"step": 2})
    assert caught.value.errno == errno.ENOSPC
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    assert load_state(tmp_path / "state", model, optimizer) == {"step": 1}


def test_others_may_read_weights_as_they_may_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    save_tensors(tmp_path / "weights", {"a": torch.ones(2)})
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "usual").stat().st_mode


def filled(value):
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, value)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def test_shards_count_once_the_state_of_the_first_process_is_there(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    assert load_states(path, *filled(0), sharded=True) == {}
    monkeypatch.setenv("WORLD_SIZE", "2")

    def save(rank, value, step):
        monkeypatch.setenv("RANK", str(rank))
        save_states(path, *filled(value), {"step": step}, sharded=True)

    def loaded(rank):
        monkeypatch.setenv("RANK", str(rank))
        model, optimizer = filled(0)
        progress = load_states(path, model, optimizer, sharded=True)
        return progress["step"], model.weight[0, 0].item()

    def stop_at(calls):
        left = iter(range(calls - 1))
        monkeypatch.setattr("facerec.training.state.barrier", lambda: next(left))

    save(1, 11, 1)
    save(0, 10, 1)
    for rank, calls in ((1, 1), (0, 1), (1, 2)):  # neither is the new file of rank 0 there, nor an old one gone
        stop_at(calls)
        with pytest.raises(StopIteration):
            save(rank, 20 + rank, 2)
        assert (loaded(0), loaded(1)) == ((1, 10.0), (1, 11.0))
    monkeypatch.setattr("facerec.training.state.barrier", lambda: None)
    save(0, 20, 2)
    assert (loaded(0), loaded(1)) == ((2, 20.0), (2, 21.0))
    save(1, 31, 3)
    save(0, 30, 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state-1-3.safetensors", "state.safetensors"]
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="of 2 processes with centres of their own; start as many"):
        loaded(0)
    remove_states(path)
    assert not list(tmp_path.iterdir())


def test_equal_weights_are_written_once(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        save_states(path, *filled(5), {"step": 1}, sharded=False)
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
    monkeypatch.setenv("RANK", "1")
    assert load_states(path, *filled(0), sharded=False)["step"] == 1


def test_weights_to_begin_with_are_those_of_a_model_of_the_same_network(tmp_path):
    network = saved(tmp_path / "model")
    other = build("mobilefacenet", 8, 32, 0.125)
    load_weights(tmp_path / "model", other, CONFIG)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    with pytest.raises(InputError, match="width 0.125 there; give --width 0.125"):
        load_weights(tmp_path / "model", other, CONFIG | {"width": 0.25})


@pytest.mark.parametrize(
    "progress", ["[1]", "3", '"x"', '{"step": "x", "shards": 1}', "[" * 100_000, '{"step": 3}', "{}"]
)
def test_progress_of_another_type_is_refused(tmp_path, progress):
    model = torch.nn.Linear(4, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    file = tmp_path / "state.safetensors"
    safetensors.torch.save_file({"model.weight": torch.ones(2, 4)}, file, metadata={"progress": progress})
    with pytest.raises(InputError, match=r"state\.safetensors: "):
        load_states(file, model, optimizer, False)
