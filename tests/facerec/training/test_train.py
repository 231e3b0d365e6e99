import csv
import filecmp
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from facerec.__main__ import COMMANDS
from facerec.backbones import build
from facerec.commands.train import train
from facerec.devices.device import to_input
from facerec.losses.choice import LOSSES
from facerec.losses.heads import MarginHead
from facerec.losses.margins import MarginLoss
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError, ObstacleError, read_json, read_yaml
from facerec.recognisers.recogniser import Recogniser
from facerec.stores.open import open_store
from facerec.training import LossOptions, Network, Run, Schedule, Trainer, TrainingData
from facerec.training.augment import Augmentation
from facerec.training.monitor import Monitor
from facerec.training.optimizer import schedule_factor
from facerec.training.state import save_states
from facerec.training.trainer import STATE
from facerec.training.training_set import gather

SMALL = {
    "width": 0.125, "input_size": 32, "embedding_size": 16, "batch_size": 8, "learning_rate": 0.01, "workers": 0,
}  # fmt: skip

KILLED = """
import os, signal, sys
from pathlib import Path
import facerec.commands.train
from facerec.training.monitor import Monitor
add = Monitor.add
def add_or_die(monitor, step, *rest):
    add(monitor, step, *rest)
    if step == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
Monitor.add = add_or_die
facerec.commands.train.train(faces=Path(sys.argv[1]), out=Path(sys.argv[2]), steps=8, checkpoint_steps=3, {options})
"""


def interrupted(monitor, step, *rest):
    if step == 4:
        raise KeyboardInterrupt


def test_training_learns_and_writes_a_model(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=4, each=6)
    out = train(faces=faces, out=tmp_path / "model", steps=40, **SMALL)
    results = json.loads((out / "meta.json").read_text())["results"]
    assert results["faces"] == 24
    assert results["classes"] == 4
    assert results["accuracy"] > 0.8
    config = read_yaml(out / "config.yaml")
    assert (config["backbone"], config["width"], config["faces"], config["steps"]) == (
        "mobilefacenet", 0.125, str(faces), 40,
    )  # fmt: skip
    assert "\n# classes: 4\n# faces: 24\n# steps: 40\n" in (out / "config.yaml").read_text()
    assert load_file(out / "head.safetensors")["centres"].shape == (4, 16)
    assert (out / "skipped.csv").read_text() == "store,row,key,reason\n"
    assert not (out / "state.safetensors").exists()
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {
        "loss", "accuracy", "images_per_second", "learning_rate", "cosine/own", "cosine/nearest_other", "cosine/margin",
    }  # fmt: skip
    assert events.Tags()["images"][0].startswith("augmented")
    assert (out / "tensorboard" / "projector_config.pbtxt").exists()
    margin, own, other = (events.Scalars(f"cosine/{name}")[-1].value for name in ("margin", "own", "nearest_other"))
    assert margin == pytest.approx(own - other, abs=1e-6)
    assert margin > 0.2
    losses = [event.value for event in events.Scalars("loss")]
    assert losses[-1] < losses[0]


def test_python_trains_what_the_command_does(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    command = train(faces=faces, out=tmp_path / "command", steps=3, loss="arcface", **SMALL)
    out = tmp_path / "python"
    network, schedule = Network(width=0.125, input_size=32, embedding_size=16), Schedule(3, 3, 8, learning_rate=0.01)
    trainer = Trainer(TrainingData(faces), network, LossOptions("arcface"), schedule, Run(workers=0))
    results = trainer.run(str(out))
    assert {"faces": 12, "classes": 3, "skipped": 0}.items() <= results.items()
    assert not trainer.backbone.training
    for name in ("model.safetensors", "head.safetensors", "skipped.csv", "config.yaml"):
        assert filecmp.cmp(command / name, out / name, shallow=False), name


def test_training_leaves_the_caller_its_random_numbers_and_threads(tmp_path, make_faces):
    def state() -> tuple[bytes, int]:
        return torch.get_rng_state().numpy().tobytes(), cv2.getNumThreads()

    cv2.setNumThreads(2)
    before, data = state(), TrainingData(make_faces(tmp_path / "f", identities=2, each=4))
    trainer = Trainer(
        data, Network(None, "mobilefacenet", 0.125, 32, 16), None, Schedule(steps=1, batch_size=4), Run(workers=0)
    )
    assert state() == before
    for out in ("one", "two"):
        trainer.run(tmp_path / out)
        assert state() == before


def test_a_second_run_trains_from_the_beginning(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    network = Network(width=0.125, input_size=32, embedding_size=16)
    trainer = Trainer(TrainingData(str(faces)), network, None, Schedule(steps=2, batch_size=8), Run(workers=0))
    first, second = trainer.run(tmp_path / "first"), trainer.run(tmp_path / "second")
    assert first["loss"] == second["loss"]
    for name in ("model.safetensors", "head.safetensors", "config.yaml"):
        assert filecmp.cmp(tmp_path / "first" / name, tmp_path / "second" / name, shallow=False), name
    assert read_yaml(tmp_path / "first" / "config.yaml")["faces"] == str(faces)


def test_a_process_with_other_settings_than_the_first_stops(tmp_path, make_faces, monkeypatch):
    data = TrainingData(make_faces(tmp_path / "f", identities=2, each=4))
    network, told = Network(width=0.125, input_size=32, embedding_size=16), []
    monkeypatch.setattr("facerec.training.trainer.broadcast_object", lambda value: told.append(value) or told[0])
    for _ in range(2):
        Trainer(data, network, None, Schedule(steps=1, batch_size=8))
    with pytest.raises(InputError, match="this process has other faces or settings than the first"):
        Trainer(data, network, None, Schedule(steps=1, batch_size=8, learning_rate=0.1))


def test_options_of_the_wrong_kind_are_named(tmp_path):
    data = TrainingData(tmp_path)
    with pytest.raises(InputError, match=r"schedule is LossOptions\(.*; expected Schedule"):
        Trainer(data, Network(), Schedule(), LossOptions())
    with pytest.raises(InputError, match="loss is 'arcface'; expected LossOptions"):
        Trainer(data, loss="arcface")
    with pytest.raises(InputError, match="--steps: 10.5; expected a number without a fraction"):
        Schedule(steps=10.5)
    with pytest.raises(InputError, match="--width: '1'; expected a number"):
        Network(width="1")
    with pytest.raises(InputError, match="--shared-statistics: 'false'; expected True or False"):
        Run(shared_statistics="false")
    with pytest.raises(InputError, match="--scale: '32'; expected a number"):
        LossOptions(scale="32")


def test_the_config_of_a_model_trains_it_again(tmp_path, make_faces, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = Path(os.fsdecode(b"caf\xe9"))
    make_faces(tmp_path / "f", identities=3, each=4).rename(odd)
    first = train(
        faces=odd, out=tmp_path / "first", epochs=2.0, loss="combined", margin=[1.0, 0.2, 0.1],
        seed=3, augmentation=0.5, **SMALL,
    )  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    given = ["train", "--config", str(first / "config.yaml"), "--workers", "0", "--out"]
    assert run("facerec", COMMANDS, [*given, str(tmp_path / "again")]) == 0
    for name in ("model.safetensors", "config.yaml"):
        assert filecmp.cmp(first / name, tmp_path / "again" / name, shallow=False), name
    assert run("facerec", COMMANDS, [*given, str(tmp_path / "other"), "--seed", "4"]) == 0
    assert Recogniser.from_pretrained(first).input_size == 32
    assert read_yaml(tmp_path / "other" / "config.yaml")["seed"] == 4


def test_killed_training_goes_on_to_bit_identical_weights(tmp_path, make_faces, in_processes):
    faces = make_faces(tmp_path / "f", identities=4, each=6)
    (faces / "person1" / "03.png").write_bytes(b"broken")
    options = ", ".join(f"{name}={value!r}" for name, value in SMALL.items())
    script = KILLED.format(options=options)
    in_processes(tmp_path, script, faces, tmp_path / "killed", 4, ends=[-signal.SIGKILL])
    assert not (tmp_path / "killed").exists()
    assert (tmp_path / "killed.partial" / "state.safetensors").exists()
    resumed = train(faces=faces, out=tmp_path / "killed", steps=8, checkpoint_steps=3, **SMALL)
    straight = train(faces=faces, out=tmp_path / "straight", steps=8, checkpoint_steps=100, **SMALL)
    for name in ("model.safetensors", "head.safetensors", "skipped.csv", "config.yaml"):
        assert filecmp.cmp(resumed / name, straight / name, shallow=False), name
    found, expected = (read_json(folder / "meta.json")["results"] for folder in (resumed, straight))
    assert found | {"images_per_second": 0} == expected | {"images_per_second": 0}
    rows = list(csv.DictReader((straight / "skipped.csv").read_text().splitlines()))
    assert [(row["row"], row["key"], row["reason"]) for row in rows] == [
        ("9", "person1/03.png", "not a readable image")
    ]


def test_the_state_of_another_training_is_no_beginning(tmp_path, make_faces, monkeypatch):
    """Of as many classes, so that its weights would fit."""
    faces, more = make_faces(tmp_path / "f", identities=2, each=4), make_faces(tmp_path / "g", identities=2, each=5)
    network, steps = Network(width=0.125, input_size=32, embedding_size=16), Schedule(steps=8, batch_size=8)
    ways = {
        "same": (TrainingData(faces), network, None, steps, Run(workers=0, checkpoint_steps=2)),
        "more faces": (TrainingData(more), network, None, steps, Run(workers=0)),
        "seed": (TrainingData(faces), network, None, steps, Run(workers=0, seed=1)),
        "teacher": (TrainingData(faces), replace(network, init=tmp_path / "teacher"), None, steps, Run(workers=0)),
    }
    Trainer(*ways["more faces"][:3], Schedule(steps=1, batch_size=8), Run(workers=0)).run(tmp_path / "teacher")
    with monkeypatch.context() as patch:
        patch.setattr("facerec.training.monitor.Monitor.add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Trainer(*ways["same"]).run(tmp_path / "out")
    for name in ("more faces", "seed", "teacher"):
        with pytest.raises(InputError, match=r"state.safetensors: the state of a training of other faces or settings"):
            Trainer(*ways[name]).run(tmp_path / "out")
    Trainer(*ways["same"]).run(tmp_path / "out")


def test_faces_that_are_gone_in_the_midst_leave_the_state(tmp_path, make_faces, monkeypatch):
    faces = make_faces(tmp_path / "f", identities=2, each=4)
    options = SMALL | {"steps": 8, "checkpoint_steps": 3}
    add = Monitor.add

    def gone(monitor, step, *rest):
        add(monitor, step, *rest)
        if step == 4:
            faces.rename(tmp_path / "elsewhere")

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "add", gone)
        with pytest.raises(ObstacleError, match="none of 8 faces in a row can be read"):
            train(faces=faces, out=tmp_path / "resumed", **options)
    (tmp_path / "elsewhere").rename(faces)
    resumed = train(faces=faces, out=tmp_path / "resumed", **options)
    straight = train(faces=faces, out=tmp_path / "straight", **options)
    assert filecmp.cmp(resumed / "model.safetensors", straight / "model.safetensors", shallow=False)


def test_interrupted_adaface_goes_on_with_its_statistics(tmp_path, make_faces, monkeypatch):
    faces = make_faces(tmp_path / "f", identities=4, each=6)
    options = SMALL | {"loss": "adaface", "steps": 8, "checkpoint_steps": 3}
    straight = train(faces=faces, out=tmp_path / "straight", **options)

    with monkeypatch.context() as patch:
        patch.setattr("facerec.training.monitor.Monitor.add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(faces=faces, out=tmp_path / "resumed", **options)
    state = load_file(tmp_path / "resumed.partial" / "state.safetensors")
    assert float(state["model.head.statistics.batches"]) == 3
    resumed = train(faces=faces, out=tmp_path / "resumed", **options)
    for name in ("model.safetensors", "head.safetensors"):
        assert filecmp.cmp(resumed / name, straight / name, shallow=False), name
    events = EventAccumulator(str(resumed / "tensorboard")).Reload()
    assert [event.step for event in events.Images(events.Tags()["images"][0])] == [0, 3]


def test_interrupted_training_goes_on_with_what_a_backbone_draws(tmp_path, make_faces, monkeypatch):
    faces = make_faces(tmp_path / "f", identities=4, each=6)
    monkeypatch.setattr(
        "facerec.training.options.build", lambda *options: nn.Sequential(nn.Dropout(0.5), build(*options))
    )
    options = SMALL | {"steps": 8, "checkpoint_steps": 3, "sampler": "balanced", "accumulate": 2}
    straight = train(faces=faces, out=tmp_path / "straight", **options)
    with monkeypatch.context() as patch:
        patch.setattr("facerec.training.monitor.Monitor.add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(faces=faces, out=tmp_path / "resumed", **options)
    resumed = train(faces=faces, out=tmp_path / "resumed", **options)
    for name in ("model.safetensors", "head.safetensors"):
        assert filecmp.cmp(resumed / name, straight / name, shallow=False), name


@pytest.mark.parametrize("default", [True, False])
def test_training_is_this_plain_loop(default, tmp_path, make_faces):
    """With the default options, and with another seed, less augmentation, weights, and a number of epochs."""
    faces, weight = make_faces(tmp_path / "f", identities=4, each=5), np.ones(20, np.float32)
    seed, augmentation, options = 0, 1.0, {"steps": 5}
    if not default:
        seed, augmentation, weight = 3, 0.5, np.linspace(0.1, 2, 20, dtype=np.float32)
        labels = _folder(tmp_path / "labels", labels=np.repeat(np.arange(4), 5), weights=weight)
        options = {"epochs": 1.9, "labels": labels, "seed": seed, "augmentation": augmentation}  # 4.75 steps
    out = train(faces=faces, out=tmp_path / "out", **SMALL, **options)
    torch.manual_seed(seed)
    network, head = build("mobilefacenet", 16, 32, 0.125), MarginHead(4, 16, MarginLoss(32.0, (1.0, 0.0, 0.2)))
    network.to(memory_format=torch.channels_last)
    weights = [weight for module in (network, head) for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": 0.05},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    store, augment = open_store(faces), Augmentation(32, seed, augmentation)
    order = np.concatenate([np.random.default_rng((seed, epoch)).permutation(20) for epoch in range(2)])
    for step in range(5):
        positions = range(8 * step, 8 * step + 8)
        images = torch.from_numpy(np.stack([augment(store.read(int(order[p])), p) for p in positions]))
        rows = order[8 * step : 8 * step + 8]
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * schedule_factor(step, 5, 0.05, "cosine")
        optimizer.zero_grad()
        embeddings = network(to_input(images, torch.device("cpu")))
        head(embeddings, torch.from_numpy(store.labels[rows]), torch.from_numpy(weight[rows]))[0].backward()
        optimizer.step()
    trained = load_file(out / "model.safetensors")
    assert all(torch.equal(trained[name], value) for name, value in network.state_dict().items())
    assert torch.equal(load_file(out / "head.safetensors")["centres"], head.centres)


def test_what_a_backbone_draws_follows_from_the_seed_the_step_and_the_rank(monkeypatch):
    def drawn(seed: int, step: int, rank: int) -> float:
        monkeypatch.setenv("RANK", str(rank))
        optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}])
        trainer = SimpleNamespace(_schedule=Schedule(), _run=Run(seed=seed), _optimizer=optimizer, total=9)
        assert Trainer._prepare_step(trainer, step) == optimizer.param_groups[0]["lr"] > 0
        return float(torch.rand(()))

    cases = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({drawn(*case) for case in cases}) == len({drawn(*case) for case in cases * 2}) == len(cases)


def test_options_reach_what_they_are_of(tmp_path, make_faces, monkeypatch):
    """Those that change nothing where one process trains, and the seed of the sample of classes."""
    faces, given = make_faces(tmp_path / "f", identities=3, each=4), {}
    for name in ("Batches", "trained_network", "Learner"):
        monkeypatch.setattr(
            f"facerec.training.trainer.{name}", lambda *options, name=name: given.update({name: options})
        )
    monkeypatch.setattr("facerec.training.trainer.read_ahead", lambda *_, **__: [])
    network, schedule = Network(width=0.125, input_size=32, embedding_size=16), Schedule(2, batch_size=8, accumulate=2)
    trainer = Trainer(
        TrainingData(faces), network, LossOptions(sample_rate=0.5), schedule,
        Run(seed=3, shared_statistics=False, device="cpu"),
    )  # fmt: skip
    assert (trainer.head.seed, trainer.head.rate) == (3, 0.5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    trainer._batches(0)
    trainer._learner()
    assert given["Batches"][3:] == (1, 2, 2)
    assert given["trained_network"][2:] == (False, False)
    assert given["Learner"][5:] == (2, None)


def test_a_training_goes_on_from_its_step_with_the_faces_skipped_before(tmp_path):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = SimpleNamespace(_model=model, _optimizer=optimizer, head=SimpleNamespace(sharded=False), _digest="a")
    assert Trainer._restore(trainer, tmp_path) == (0, set(), {})
    skipped = {("faces", 3, "a.png", "not a readable image")}
    figures = {"losses": [0.1, 0.2], "accuracies": [0.5, 1.0]}
    progress = {"step": 2, "skipped": sorted(skipped), "figures": figures}
    save_states(tmp_path / STATE, model, optimizer, progress, sharded=False)
    assert Trainer._restore(trainer, tmp_path) == (2, skipped, figures)


def test_every_way_to_train_gives_other_weights(tmp_path, make_faces):
    labelled = make_faces(tmp_path / "a", identities=3, each=4)
    unlabelled = make_faces(tmp_path / "b", identities=3, each=3)
    pseudo = _folder(tmp_path / "pseudo", labels=np.repeat([0, 1, 2], 3), same_as=np.array([-1, 1, -1]))
    apart = _folder(tmp_path / "apart", labels=np.repeat([0, 1, 2], 3))
    both = {"faces": labelled, "unlabelled": unlabelled, "pseudo_labels": pseudo}
    teacher = train(faces=labelled, out=tmp_path / "teacher", steps=3, **SMALL)
    cases = [
        {"faces": labelled}, {"unlabelled": unlabelled, "pseudo_labels": pseudo}, both, both | {"pseudo_labels": apart},
        both | {"heads": 2}, both | {"pseudo_share": 0.5}, both | {"pseudo_share": 0.25, "heads": 2, "loss": "adaface"},
        both | {"init": teacher}, both | {"sampler": "balanced"}, both | {"interclass_filter": 0.01},
        both | {"accumulate": 2}, both | {"clip": 0.1}, both | {"sample_rate": 0.2, "accumulate": 2},
        both | {"precision": "bf16"},
    ]  # fmt: skip
    weights = set()
    for number, options in enumerate(cases):
        out = train(out=tmp_path / str(number), steps=4, **(SMALL | options))
        assert np.isfinite(json.loads((out / "meta.json").read_text())["results"]["loss"])
        weights.add((out / "model.safetensors").read_bytes())
    assert len(weights) == len(cases)
    classes = [load_file(tmp_path / str(number) / "head.safetensors")["centres"].shape[0] for number in range(5)]
    assert classes == [3, 3, 5, 6, 5]


def test_compiled_training_is_of_the_compiled_backbone_and_the_model_is_the_usual_one(
    tmp_path, make_faces, monkeypatch
):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    calls = []

    class Compiled(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, faces):
            calls.append(len(faces))
            return self.network(faces)

    usual = train(faces=faces, out=tmp_path / "usual", steps=3, **SMALL)
    monkeypatch.setattr("torch.compile", Compiled)
    compiled = train(faces=faces, out=tmp_path / "compiled", steps=3, compile=True, **SMALL)
    assert calls == [8, 8, 8]
    assert (usual / "model.safetensors").read_bytes() == (compiled / "model.safetensors").read_bytes()


def test_epochs_beside_steps_are_told(tmp_path, make_faces, caplog):
    faces = make_faces(tmp_path / "f", identities=2, each=4)
    network = Network(width=0.125, input_size=32, embedding_size=16)
    for schedule, told in ((Schedule(steps=3), 0), (Schedule(epochs=3), 0), (Schedule(epochs=2.5, steps=3), 1)):
        Trainer(TrainingData(faces), network, schedule=schedule)
        assert caplog.text.count("--epochs 2.5 has no effect: --steps 3 is given") == told


def test_init_gives_the_backbone_the_weights_of_the_teacher(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    teacher = train(faces=faces, out=tmp_path / "teacher", steps=3, **SMALL)
    still = train(faces=faces, init=teacher, out=tmp_path / "out", steps=1, **(SMALL | {"learning_rate": 1e-30}))
    one, other = (load_file(folder / "model.safetensors") for folder in (teacher, still))
    assert all(torch.equal(one[name], other[name]) for name in one if "running" not in name and "num_b" not in name)


def test_rate_1_of_partial_fc_is_the_usual_head(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=4, each=4)
    usual = train(faces=faces, out=tmp_path / "a", steps=3, **SMALL)
    partial = train(faces=faces, out=tmp_path / "b", steps=3, sample_rate=1.0, **SMALL)
    one, other = (load_file(folder / "head.safetensors")["centres"] for folder in (usual, partial))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_pair_sets_are_validated_during_training_and_change_nothing(tmp_path, make_faces, make_bin, caplog):
    faces = make_faces(tmp_path / "f", identities=4, each=6)
    sets = [make_bin(tmp_path / f"{name}.bin", faces) for name in ("one", "two")]
    options = SMALL | {"steps": 6, "validation": sets, "validation_steps": 4}
    out = train(faces=faces, out=tmp_path / "out", **options)
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    found = events.Scalars("validation/one")
    assert [event.step for event in found] == [4, 6]
    assert "no effect" not in caplog.text
    results = json.loads((out / "meta.json").read_text())["results"]
    assert results["validation/one"] == results["validation/two"] == pytest.approx(found[-1].value)
    without = train(faces=faces, out=tmp_path / "without", **(options | {"validation": None}))
    assert "--validation-steps has no effect: there is no --validation" in caplog.text
    assert (out / "model.safetensors").read_bytes() == (without / "model.safetensors").read_bytes()
    one = train(faces=faces, out=tmp_path / "path", **(options | {"validation": sets[0]}))
    assert "validation/one" in json.loads((one / "meta.json").read_text())["results"]


def test_every_loss_trains_and_gives_other_weights(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=4, each=4)
    (tmp_path / "clusters" / "levels" / "00").mkdir(parents=True)
    np.save(tmp_path / "clusters" / "levels" / "00" / "labels.npy", np.repeat([0, 0, 1, 2], 4))
    cases = [{"loss": name} for name in LOSSES] + [
        {"margin": 0.3}, {"loss": "arcface", "subcentres": 2}, {"loss": "combined", "margin": [0.9, 0.4, 0.15]},
        {"loss": "proxy_nca", "hierarchy": tmp_path / "clusters"},
        {"loss": "proxy_anchor", "hierarchy": "kmeans", "scale": 16},
    ]  # fmt: skip
    weights = set()
    for number, options in enumerate(cases):
        out = train(faces=faces, out=tmp_path / str(number), steps=3, **SMALL, **options)
        assert np.isfinite(json.loads((out / "meta.json").read_text())["results"]["loss"])
        assert load_file(out / "head.safetensors")["centres"].shape == (4 * options.get("subcentres", 1), 16)
        weights.add((out / "model.safetensors").read_bytes())
    assert len(weights) == len(cases)


def test_defaults_are_cosface_in_numbers(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    default = train(faces=faces, out=tmp_path / "a", steps=3, **SMALL)
    named = train(faces=faces, out=tmp_path / "b", steps=3, loss="cosface", scale=32, margin=0.2, **SMALL)
    assert (default / "model.safetensors").read_bytes() == (named / "model.safetensors").read_bytes()


def test_worker_processes_do_not_change_the_weights(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=3, each=4)
    one = train(faces=faces, out=tmp_path / "a", steps=3, **SMALL)
    two = train(faces=faces, out=tmp_path / "b", steps=3, **(SMALL | {"workers": 2}))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()


def test_pseudo_labels_join_as_classes_of_their_own(tmp_path, make_faces):
    labelled = make_faces(tmp_path / "a", identities=2, each=3)
    unlabelled = make_faces(tmp_path / "b", identities=3, each=2)
    pseudo = tmp_path / "pseudo"
    pseudo.mkdir()
    np.save(pseudo / "labels.npy", np.array([0, 0, -1, 1, 1, 1]))
    np.save(pseudo / "weights.npy", np.array([1, 0.5, 1, 1, 0, 1], np.float32))
    training = gather(TrainingData(labelled, None, unlabelled, pseudo))
    assert training.label.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert training.weight.tolist() == [1] * 6 + [1, 0.5, 1, 1]
    assert gather(TrainingData(None, None, unlabelled, pseudo / "labels.npy")).label.tolist() == [0, 0, 1, 1, 1]


def test_given_labels_take_the_place_of_identities(tmp_path, make_faces):
    faces = make_faces(tmp_path / "a", identities=2, each=2)
    np.save(tmp_path / "labels.npy", np.array([5, 9, 5, -1]))
    assert gather(TrainingData(faces, tmp_path / "labels.npy")).label.tolist() == [0, 1, 0]
    np.save(tmp_path / "weights.npy", np.array([0.5, 1, 0, 1], np.float32))
    assert gather(TrainingData(faces, tmp_path)).weight.tolist() == [0.5, 1]
    assert gather(TrainingData(faces, tmp_path / "labels.npy")).weight.tolist() == [1, 1, 1]


def test_schedule_rises_and_falls_to_nothing():
    for name in ("cosine", "poly"):
        rates = [schedule_factor(step, 100, 0.1, name) for step in range(100)]
        assert rates[0] == pytest.approx(0.1)
        assert max(rates) == rates[10] == pytest.approx(1.0)
        assert np.all(np.diff(rates[:10]) > 0)
        assert np.all(np.diff(rates[10:]) < 0)
        assert rates[-1] < 0.002
    assert schedule_factor(0, 1, 0.05, "cosine") > 0
    assert schedule_factor(55, 100, 0.1, "poly") == pytest.approx(0.25)
    assert schedule_factor(55, 100, 0.1, "cosine") == pytest.approx(0.5)


def _folder(path: Path, **arrays: np.ndarray) -> Path:
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "warmup", "epochs", "clip"])
@pytest.mark.parametrize("value", [-0.1, np.nan])
def test_numbers_that_no_training_can_have(name, value):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} {value}"):
        Schedule(**{name: value})
    if name != "clip":
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} inf"):
            Schedule(**{name: np.inf})


def test_every_process_gets_an_equal_share_of_each_part_of_a_batch():
    Schedule(batch_size=12, accumulate=2).check_parts(3)
    for processes in (4, 5, 6):
        with pytest.raises(InputError, match=rf"--accumulate 2 with {processes} process\(es\); the batch is divided"):
            Schedule(batch_size=12, accumulate=2).check_parts(processes)


def test_bad_inputs_are_refused_in_one_line_with_status_2(tmp_path, make_faces, capsys):
    faces = make_faces(tmp_path / "f", identities=2, each=2)
    empty = make_faces(tmp_path / "none", identities=2, each=2)
    for file in empty.rglob("*.png"):
        file.write_bytes(b"")
    flat = tmp_path / "f" / "person0"
    short = _folder(tmp_path / "short", labels=np.zeros(3, np.int64))
    negative = _folder(tmp_path / "negative", labels=np.arange(4), weights=np.array([1, 1, -1, 1.0]))
    infinite = _folder(tmp_path / "infinite", labels=np.arange(4), weights=np.array([1, 1, np.nan, 1.0]))
    few = _folder(tmp_path / "few", labels=np.arange(4), weights=np.ones(3))
    none = _folder(tmp_path / "unused", labels=np.full(4, -1))
    few_same = _folder(tmp_path / "few_same", labels=np.arange(4), same_as=np.array([-1, 0, -1]))
    low_same = _folder(tmp_path / "low_same", labels=np.arange(4), same_as=np.array([-1, 0, -2, -1]))
    wrong_same = _folder(tmp_path / "wrong_same", labels=np.arange(4), same_as=np.array([-1, 0, 5, -1]))
    teacher = train(faces=faces, out=tmp_path / "teacher", steps=1, **SMALL)
    both = ["--faces", faces, "--unlabelled", faces, "--pseudo-labels"]
    cases = [
        ([], "no faces to train on"),
        (["--faces", tmp_path / "absent"], "no such file or folder"),
        (["--faces", flat], "no face has an identity"),
        (["--faces", faces, "--labels", short], "3 labels for 4 rows"),
        (["--labels", short], "--labels"),
        (["--faces", faces, "--unlabelled", faces], "go together"),
        (["--unlabelled", faces, "--pseudo-labels", negative], "weights must be finite and not negative"),
        (["--unlabelled", faces, "--pseudo-labels", infinite], "weights must be finite and not negative"),
        (["--unlabelled", faces, "--pseudo-labels", few], "3 weights for 4 faces"),
        (["--unlabelled", faces, "--pseudo-labels", none], "0 class(es)"),
        ([*both, few_same], "3 entries from -1 for pseudo classes 0 to 3"),
        ([*both, low_same], "4 entries from -2 for pseudo classes 0 to 3"),
        ([*both, wrong_same], "same_as.npy names class 5, but no used labelled face has it"),
        (["--faces", faces, "--heads", "2"], "--heads 2 for 2 labelled and 0 pseudo classes"),
        (["--faces", faces, "--heads", "3"], "--heads 3; 1, or without --hierarchy 2"),
        (["--faces", faces, "--pseudo-share", "0.5"], "both labelled and pseudo-labelled faces"),
        (["--faces", faces, "--sampler", "hard"], "choose one of random, balanced"),
        (["--faces", faces, "--init", teacher], "width 0.125 there; give --width 0.125"),
        (["--faces", faces, "--init", faces], "config.yaml: no such file"),
        (["--faces", faces, "--accumulate", "3"], "divided into equal parts"),
        (["--faces", faces, "--batch-size", "8", "--accumulate", "8"], "parts of at least 2 faces"),
        (["--faces", faces, "--clip", "0"], "--clip 0.0; it must be positive"),
        (["--faces", faces, "--augmentation", "1.5"], "--augmentation 1.5; it is a share, 0 to 1"),
        (["--faces", faces, "--validation-steps", "0"], "--validation-steps 0"),
        (["--faces", faces, "--validation", flat], "not a regular file"),
        (["--faces", faces, "--interclass-filter", "0"], "--interclass-filter 0.0; it is above 0 to 1"),
        (["--faces", faces, "--interclass-filter", "0.4", "--loss", "proxy_nca"], "only margin losses have it"),
        (["--faces", faces, "--sample-rate", "2"], "--sample-rate 2.0; it is above 0 to 1"),
        ([*both, faces, "--sample-rate", "0.5", "--heads", "2"], "Partial FC has one head"),
        (["--faces", faces, "--backbone", "vgg"], "'vgg' is unknown"),
        (["--faces", faces, "--schedule", "linear"], "choose one of cosine, poly"),
        (["--faces", faces, "--precision", "fp8"], "choose one of auto, fp32, bf16"),
        (["--faces", faces, "--device", "tpu"], "choose one of auto, cpu, cuda"),
        (["--faces", faces, "--batch-size", "1"], "at least 2 faces"),
        (["--faces", faces, "--steps", "0"], "at least one step"),
        (["--faces", faces, "--learning-rate", "0"], "must be positive"),
        (["--faces", faces, "--warmup", "1"], "a share of the steps"),
        (["--faces", empty, "--workers", "0", "--batch-size", "4", "--input-size", "32"], "can be read"),
        (["--faces", faces, "--epochs", "many"], "epochs"),
        (["--faces", faces, "--loss", "triplet"], "choose one of cosface, softmax, arcface"),
        (["--faces", faces, "--margin", "-1"], "it is 0 to 1"),
        (["--faces", faces, "--loss", "combined", "--margin", "[1,2]"], "it takes three numbers"),
        (["--faces", faces, "--scale", "0"], "--scale 0.0; it must be positive"),
        (["--faces", faces, "--hierarchy", "kmeans"], "--hierarchy with --loss cosface"),
        (["--faces", faces, "--loss", "proxy_nca", "--hierarchy", "kmeans"], "it needs at least 3"),
        (["--faces", faces, "--loss", "proxy_nca", "--hierarchy", short], "no levels/<number>/labels.npy"),
        (["--faces", faces, "--loss", "proxy_nca", "--hierarchy", tmp_path / "absent"], "no such file or folder"),
    ]
    for arguments, text in cases:
        words = ["train", *map(str, arguments), "--out", str(tmp_path / "out")]
        try:
            status = run("python -m facerec", {"train": "facerec.commands.train:train"}, words)
        except SystemExit as ended:
            status = ended.code
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert status == 2, text
        assert text in message, (text, message)
        assert not list(tmp_path.glob("out*")), text


def test_divergence_is_an_error_and_not_a_model(tmp_path, make_faces):
    faces = make_faces(tmp_path / "f", identities=2, each=4)
    with pytest.raises(InputError, match="lower --learning-rate"):
        train(faces=faces, out=tmp_path / "out", steps=20, **(SMALL | {"learning_rate": 1e30}))
    assert not (tmp_path / "out").exists()
