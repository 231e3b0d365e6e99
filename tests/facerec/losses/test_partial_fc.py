import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.losses.head import drawn_centres
from facerec.losses.heads import MarginHead
from facerec.losses.margins import MarginLoss
from facerec.losses.partial_fc import PartialHead, _drawn
from facerec.pipeline.files import InputError
from facerec.training.optimizer import RowAdamW
from facerec.training.state import load_state, save_state

CLASSES, SIZE = 13, 16
KINDS = {
    "cosface": {"margins": (1.0, 0.0, 0.2)},
    "arcface": {"margins": (1.0, 0.5, 0.0)},
    "combined": {"margins": (1.0, 0.3, 0.2)},
    "adaface": {"margins": (1.0, 0.0, 0.4), "adaptive": True},
    "subcentres": {"margins": (1.0, 0.5, 0.0), "subcentres": 3},
    "filtered": {"margins": (1.0, 0.0, 0.2), "threshold": 0.1},
}


def batch(rows=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(rows, SIZE, generator=generator) * 3
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    return embeddings, labels, torch.rand(rows, generator=generator) + 0.5


def heads(kind, rate=1.0, seed=0):
    """The full layer and the sampled one, which begin with the same centres."""
    torch.manual_seed(0)
    loss = MarginLoss(16.0, **KINDS[kind])
    full = MarginHead(CLASSES, SIZE, loss)
    torch.manual_seed(0)
    return full, PartialHead(CLASSES, SIZE, loss, rate, seed)


def gradients(head, embeddings, labels, weights):
    embeddings = embeddings.clone().requires_grad_()
    loss, found = head(embeddings, labels, weights)
    loss.backward()
    return loss.detach(), embeddings.grad, head.centres.grad, found


def oracle(full, embeddings, labels, weights):
    """As `gradients`, of the full layer in float64."""
    embeddings, weights = embeddings.double().requires_grad_(), weights.double()
    loss, cosines = full.double()(embeddings, labels, weights)
    loss.backward()
    return loss.detach(), embeddings.grad, full.centres.grad, cosines.argmax(1)


def assert_close(found, expected, tolerance):
    """The largest difference is small beside the largest number."""
    assert float((found.double() - expected).abs().max()) < tolerance * float(expected.abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("kind_of_number", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_rate_1_is_the_full_layer(kind, kind_of_number, tolerance):
    full, partial = heads(kind)
    assert torch.equal(full.centres, partial.centres)
    embeddings, labels, weights = batch()
    found = gradients(partial.to(kind_of_number), embeddings.to(kind_of_number), labels, weights.to(kind_of_number))
    expected = oracle(full, *batch())
    for one, two in zip(found[:3], expected[:3], strict=True):
        assert_close(one, two, tolerance)
    assert torch.equal(found[3], expected[3])


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_a_sample_is_the_loss_of_a_layer_of_the_sampled_classes(kind, slow_logits):
    full, partial = heads(kind, rate=0.4, seed=5)
    embeddings, labels, weights = batch(4)
    loss, _, gradient, nearest = gradients(partial, embeddings, labels, weights)
    partial.steps.zero_()
    chosen = partial.sample(labels)
    assert len(chosen) == 6
    cosines = F.linear(F.normalize(embeddings), F.normalize(full.centres[chosen]))
    columns = (chosen == labels[:, None]).nonzero()[:, 1]
    logits = slow_logits(cosines, columns, 16.0, KINDS[kind]["margins"])
    rows = F.cross_entropy(logits, columns, reduction="none")
    expected = (weights * rows).sum() / weights.sum()
    torch.testing.assert_close(loss, expected)
    assert torch.equal(nearest, chosen[cosines.argmax(1)])
    expected.backward()
    assert gradient.is_sparse
    assert gradient.coalesce().indices()[0].tolist() == chosen.tolist()
    torch.testing.assert_close(gradient.to_dense(), full.centres.grad)


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(0.01, 1), labels=st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=20),
    seed=st.integers(0, 2**31), step=st.integers(0, 10**6),
)  # fmt: skip
def test_samples_have_all_positives_and_repeat_themselves(rate, labels, seed, step):
    samples = []
    for seed_, step_ in ((seed, step), (seed, step), (seed + 1, step)):
        _, head = heads("cosface", rate, seed_)
        head.steps += step_
        samples.append(head.sample(torch.tensor(labels)))
    if rate == 1:
        assert samples == [None] * 3
        return
    chosen = samples[0].tolist()
    assert chosen == sorted(set(chosen)) == samples[1].tolist()
    assert set(labels) <= set(chosen) <= set(range(CLASSES))
    assert len(chosen) == max(np.ceil(rate * CLASSES), len(set(labels)))
    assert set(labels) <= set(samples[2].tolist())


def test_samples_differ_from_step_to_step_and_reach_every_class():
    _, head = heads("cosface", rate=0.3)
    samples = [tuple(head.sample(torch.tensor([2])).tolist()) for _ in range(40)]
    assert len(set(samples)) > 20
    assert int(head.steps) == 40
    counts = np.bincount(np.concatenate(samples), minlength=CLASSES)
    assert counts[2] == 40
    assert counts.min() > 0


def test_samples_of_other_seeds_and_ranks_are_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    samples = []
    for rank, seed in ((0, 0), (1, 0), (0, 1)):
        monkeypatch.setenv("RANK", str(rank))
        head = PartialHead(200, SIZE, MarginLoss(16.0, (1.0, 0.0, 0.2)), 0.3, seed)
        samples.append(tuple(head.sample(torch.tensor([0])).tolist()))
    assert len(set(samples)) == 3


def test_evaluation_takes_all_classes_and_counts_no_step():
    full, partial = heads("arcface", rate=0.3)
    torch.testing.assert_close(partial.eval()(*batch())[0], full(*batch())[0])
    assert int(partial.steps) == 0


def test_subcentres_are_sampled_with_their_class():
    _, head = heads("subcentres", rate=0.2)
    _, _, gradient, _ = gradients(head, *batch(2))
    head.steps.zero_()
    chosen = head.sample(batch(2)[1])
    rows = (chosen[:, None] * 3 + torch.arange(3)).flatten()
    assert gradient.coalesce().indices()[0].tolist() == rows.tolist()


def test_centres_without_gradient_stay_as_they_are():
    _, head = heads("cosface", rate=0.3)
    optimizer = RowAdamW(head.parameters(), 0.1, weight_decay=0.1)
    for step in range(5):
        before = head.centres.detach().clone()
        loss, _ = head(*batch(2, seed=step))
        optimizer.zero_grad()
        loss.backward()
        rows = head.centres.grad.coalesce().indices()[0]
        optimizer.step()
        changed = (head.centres.detach() != before).any(1).nonzero()[:, 0]
        assert changed.tolist() == rows.tolist()
        assert 2 <= len(rows) < CLASSES


def test_rows_take_the_steps_of_adamw():
    torch.manual_seed(0)
    start, plain = torch.randn(4, 3), torch.nn.Linear(3, 2)
    tiny = torch.tensor([1e-8, 1, 1])  # so that one column has gradients of the size of AdamW's eps
    both = []
    for kind, sparse in ((torch.optim.AdamW, False), (RowAdamW, True), (RowAdamW, False)):
        table, other = torch.nn.Parameter(start.clone()), torch.nn.Linear(3, 2)
        other.load_state_dict(plain.state_dict())
        optimizer = kind([{"params": [table], "weight_decay": 0.3}, {"params": other.parameters()}], 0.05)
        for step in range(6):
            rows = F.embedding(torch.tensor([3, 0, 1, 2, 1]), table, sparse=sparse)
            optimizer.zero_grad()
            (other(rows * tiny) ** 2 * (step + 1)).sum().backward()
            optimizer.step()
        both.append((table.detach(), other.weight.detach(), optimizer.state_dict()["state"]))
    for found in both[1:]:
        torch.testing.assert_close(found[:2], both[0][:2], atol=1e-6, rtol=1e-6)
        assert {key: set(values) for key, values in found[2].items()} == {
            key: set(values) for key, values in both[0][2].items()
        }


def test_interrupted_training_goes_on_with_the_same_samples(tmp_path):
    def steps(head, optimizer, first, last):
        for step in range(first, last):
            optimizer.zero_grad()
            head(*batch(3, seed=step))[0].backward()
            optimizer.step()
        return head.centres.detach().clone()

    def fresh():
        _, head = heads("arcface", rate=0.3, seed=1)
        return head, RowAdamW(head.parameters(), 0.1)

    whole = steps(*fresh(), 0, 8)
    head, optimizer = fresh()
    steps(head, optimizer, 0, 4)
    save_state(tmp_path / "s", head, optimizer, {})
    head, optimizer = fresh()
    load_state(tmp_path / "s", head, optimizer)
    assert torch.equal(steps(head, optimizer, 4, 8), whole)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(InputError, match="--sample-rate .*above 0 to 1"):
        heads("cosface", rate)


RANK = """
import json, sys
import torch
import torch.distributed as dist
from facerec.losses.margins import MarginLoss
from facerec.losses.partial_fc import PartialHead

folder, cases = sys.argv[1], json.loads(sys.argv[2])
dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
given = torch.load(f"{folder}/batch.pt", weights_only=True)
own = {name: values.chunk(ranks)[rank] for name, values in given.items()}
results = []
for options in cases:
    torch.manual_seed(0)
    head = PartialHead(options.pop("classes"), options.pop("size"), MarginLoss(**options.pop("loss")), **options)
    embeddings = own["embeddings"].clone().requires_grad_()
    value, nearest = head(embeddings, own["labels"], own["weights"])
    value.backward()
    centres = head.centres.grad.to_dense() if head.centres.grad.is_sparse else head.centres.grad
    results.append({"value": value.detach(), "embeddings": embeddings.grad, "centres": centres, "nearest": nearest})
    centres = head.all_centres()
    assert (len(centres) > 0) == (rank == 0)
    results[-1]["whole"] = centres
torch.save(results, f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""
CASES = [("arcface", 1.0), ("subcentres", 1.0), ("adaface", 1.0), ("filtered", 1.0), ("cosface", 0.34)]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, in_processes) -> dict[str, list[dict[str, torch.Tensor]]]:
    """What each of two processes finds for its half of the batch, by kind of margin."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(dict(zip(("embeddings", "labels", "weights"), batch(), strict=True)), folder / "batch.pt")
    options = [{"loss": {"scale": 16.0} | KINDS[kind], "rate": rate} for kind, rate in CASES]
    cases = json.dumps([{"classes": CLASSES, "size": SIZE} | each for each in options])
    in_processes(folder, RANK, folder, cases)
    found = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
    return {kind: [rank[number] for rank in found] for number, (kind, _) in enumerate(CASES)}


@pytest.mark.parametrize("kind", ["arcface", "subcentres", "adaface", "filtered"])
def test_two_ranks_find_what_one_process_does(two_ranks, kind):
    full, _ = heads(kind)
    begun = full.centres.detach().clone()
    value, embeddings, centres, nearest = oracle(full, *batch())
    found = two_ranks[kind]
    for rank in found:
        assert_close(rank["value"], value, 1e-5)
    of_all = torch.cat([rank["embeddings"] for rank in found]) / 2  # as averaging over ranks does
    assert_close(of_all, embeddings, 1e-5)
    assert_close(torch.cat([rank["centres"] for rank in found]), centres, 1e-5)
    assert torch.equal(torch.cat([rank["nearest"] for rank in found]), nearest)
    assert torch.equal(found[0]["whole"], begun)
    assert [len(rank["centres"]) for rank in found] == [6 * full.loss.subcentres, 7 * full.loss.subcentres]


def test_two_ranks_sample_each_its_own_classes(two_ranks):
    labels = batch()[1].unique()
    found = two_ranks["cosface"]
    moved = torch.cat([rank["centres"] for rank in found]).any(1)
    assert moved[labels].all()
    of_rank = [int((labels < 6).sum()), int((labels >= 6).sum())]
    assert [int(part.sum()) for part in (moved[:6], moved[6:])] == [max(3, count) for count in of_rank]
    assert float(found[0]["value"]) == float(found[1]["value"])


def test_more_ranks_than_classes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "14")
    with pytest.raises(InputError, match="13 classes over 14 ranks"):
        heads("cosface")


def test_centres_of_a_rank_are_its_rows_of_all_drawn_in_blocks(monkeypatch):
    monkeypatch.setattr("facerec.losses.partial_fc.DRAWN_ROWS", 8)
    torch.manual_seed(0)
    whole, next_number = drawn_centres(20, 4), torch.randn(1)
    for first, behind in ((0, 20), (0, 3), (3, 17), (8, 16), (17, 20)):
        torch.manual_seed(0)
        assert torch.equal(_drawn(20, 4, first, behind), whole[first:behind])
        assert torch.equal(torch.randn(1), next_number)
