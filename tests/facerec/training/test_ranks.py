import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import facerec.commands.train  # noqa: F401 (here, not by each of the processes that are forked)
from facerec.devices import collectives as distributed
from facerec.devices.batch_norm import synchronised
from facerec.pipeline import ranks as processes
from facerec.recognisers.model_folder import load_model

SMALL = {
    "width": 0.125, "input_size": 32, "embedding_size": 16, "batch_size": 8, "learning_rate": 0.01, "workers": 0,
    "steps": 4, "checkpoint_steps": 2,
}  # fmt: skip

# What each of two processes does. Mostly in double precision, because steps magnify what the order of sums changes.
STEPS = """
import json, os, sys
from pathlib import Path
import torch
from torch import nn
from facerec.devices import collectives as distributed
from facerec.pipeline import ranks as processes
from facerec.backbones import build
from facerec.losses.heads import MarginHead, ProxyHead, TwoHeads
from facerec.losses.margins import MarginLoss
from facerec.losses.partial_fc import PartialHead
from facerec.losses.proxies import proxy_anchor
from facerec.training.step import Learner, trained_network

class Double(nn.Module):
    def forward(self, x):
        return x.double()

COSFACE = MarginLoss(32.0, (1.0, 0.0, 0.2))
ADAFACE = MarginLoss(32.0, (1.0, 0.0, 0.4), adaptive=True, subcentres=2)

def margin_head(classes=5):
    return MarginHead(classes, 8, COSFACE)

CASES = {
    "accumulate": (margin_head, {"parts": 2, "clip": 0.5}),
    "adaface": (lambda: MarginHead(5, 8, ADAFACE), {}),
    "two_heads": (lambda: TwoHeads(ProxyHead(3, 8, proxy_anchor), margin_head(2), 3, 5), {}),
    "partial": (lambda: PartialHead(5, 8, COSFACE), {"parts": 2}),
    "own_statistics": (margin_head, {"share_statistics": False}),
    "single": (margin_head, {}),
}

def learned(case):
    torch.manual_seed(0)
    make, options = CASES[case]
    network, rank, ranks = build("mobilefacenet", 8, 32, 0.125), processes.rank(), processes.world_size()
    if case == "single":
        backbone, head = network.to(memory_format=torch.channels_last), make()
    else:
        backbone, head = nn.Sequential(Double(), network).double(), make().double()
    rate = 0.0001 if case == "single" else 0.001
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], rate)
    context = torch.autocast("cpu", torch.bfloat16, enabled=False)
    options, cpu = dict(options), torch.device("cpu")
    trained = trained_network(backbone, cpu, options.pop("share_statistics", True))
    learner = Learner(trained, head, optimizer, cpu, context, **options)
    numbers, losses = torch.Generator().manual_seed(1), []
    for _ in range(2):
        images = torch.randint(0, 256, (8, 32, 32, 3), generator=numbers, dtype=torch.uint8)
        labels = torch.randint(5, (8,), generator=numbers)
        weights = torch.rand(8, generator=numbers).to(head.centres.dtype) + 0.1
        slots = torch.arange(8).view(options.get("parts", 1), ranks, -1)[:, rank].flatten()
        losses.append(learner(images[slots], labels[slots], weights[slots]).loss)
    everything = torch.cat([value.detach().flatten() for value in (*network.parameters(), *network.buffers())])
    return torch.cat([head.all_centres().flatten(), torch.stack(losses)]), everything

def difference(one, other):
    return ((one - other).abs() / one.abs().clamp(min=1)).max().item()

os.environ["WORLD_SIZE"], rank = "1", os.environ.pop("RANK")
files = [Path(sys.argv[1], f"alone{number}.pt") for number in (0, 1)]
torch.save({case: learned(case) for case in list(CASES)[int(rank) :: 2]}, files[int(rank)])
os.environ["WORLD_SIZE"], os.environ["RANK"] = "2", rank
distributed.setup(torch.device("cpu"))
processes.barrier()
alone = {case: found for file in files for case, found in torch.load(file, weights_only=True).items()}
assert set(alone) == set(CASES)
differences = {}
for case, (centres, weights) in alone.items():
    shared_centres, shared = learned(case)
    differences[case] = difference(weights, shared)
    if rank == "0":
        differences[case] = max(differences[case], difference(centres, shared_centres))
Path(sys.argv[1], f"differences{rank}.json").write_text(json.dumps(differences))
assert distributed.union_over_ranks([rank, "both"]) == {"0", "1", "both"}
"""

# Trains, is interrupted and goes on.
TRAINING = """
import json, sys
from pathlib import Path
import facerec.commands.train
from facerec.training.monitor import Monitor
from facerec.training.state import read_progress

root, options = Path(sys.argv[1]), json.loads(sys.argv[2])
add = Monitor.add
def interrupted(monitor, step, *rest):
    add(monitor, step, *rest)
    if step == 3:
        raise KeyboardInterrupt
def train(name, **more):
    facerec.commands.train.train(faces=root / "faces", out=root / name, **options | more)
train("plain", steps=2)
train("straight", sample_rate=0.5)
Monitor.add = interrupted
try:
    train("resumed", sample_rate=0.5)
except KeyboardInterrupt:
    pass
Monitor.add = add
assert len(list((root / "resumed.partial").glob("state-1-*"))) == 1
skipped = read_progress(root / "resumed.partial" / "state.safetensors")["skipped"]
assert [key for _, _, key, _ in skipped] == ["person1/03.png"], skipped  # whichever process met it
train("resumed", sample_rate=0.5)
train("resumed", sample_rate=0.5)
"""


def test_two_processes_learn_what_one_learns_from_the_joined_batch(tmp_path, in_processes):
    in_processes(tmp_path, STEPS, tmp_path)
    for rank in (0, 1):
        differences = json.loads((tmp_path / f"differences{rank}.json").read_text())
        assert differences.pop("own_statistics") > 1e-3
        assert differences.pop("single") < 1e-5
        assert max(differences.values()) < 1e-9, differences


def test_two_processes_train_one_model_and_go_on_with_their_shards(tmp_path, make_faces, in_processes):
    faces = make_faces(tmp_path / "faces", identities=4, each=4)
    (faces / "person1" / "03.png").write_bytes(b"broken")
    in_processes(tmp_path, TRAINING, tmp_path, json.dumps(SMALL))
    assert (tmp_path / "plain" / "skipped.csv").read_text().count("person1/03.png") == 1
    assert load_file(tmp_path / "plain" / "head.safetensors")["centres"].shape == (4, 16)
    assert not load_model(tmp_path / "plain")[0].training
    names = sorted(path.name for path in (tmp_path / "straight").iterdir())
    assert names == ["config.yaml", "head.safetensors", "meta.json", "model.safetensors", "skipped.csv", "tensorboard"]
    for name in ("model.safetensors", "head.safetensors", "skipped.csv"):
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    assert not list(tmp_path.glob("*.partial"))


def test_a_process_alone_is_rank_0_of_1(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    rows = torch.ones(2, 3)
    assert (processes.rank(), processes.world_size(), processes.is_main()) == (0, 1, True)
    assert distributed.setup(torch.device("cpu")) == torch.device("cpu")
    processes.barrier()
    assert distributed.gather_rows(rows) is rows
    assert distributed.summed(rows) is rows
    assert distributed.union_over_ranks([1, 1, 2]) == {1, 2}


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_shared_batch_normalisation_of_one_process_is_the_usual_one(shape):
    usual = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(3)
    with torch.no_grad():
        usual.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        usual.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    network = nn.Sequential(nn.Identity(), nn.Sequential(usual))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    shared = synchronised(nn.Sequential(nn.Identity(), nn.Sequential(type(usual)(3))), torch.device("cpu"))
    shared.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        x = torch.randn(shape, generator=generator) * 3 + 1
        pair = [x.clone().requires_grad_(), x.clone().requires_grad_()]
        one, other = network(pair[0]), shared(pair[1])
        torch.testing.assert_close(other, one)
        one.pow(3).sum().backward()
        other.pow(3).sum().backward()
        torch.testing.assert_close(pair[1].grad, pair[0].grad, atol=1e-4, rtol=1e-4)
    assert list(shared.state_dict()) == list(network.state_dict())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value)
    torch.testing.assert_close(shared.eval()(x), network.eval()(x))
