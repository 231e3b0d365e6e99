import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facerec.losses.choice import LOSSES, LossOptions
from facerec.losses.head import weighted_mean
from facerec.losses.heads import Hierarchy, MarginHead, ProxyHead, TwoHeads
from facerec.losses.margins import MarginLoss, adaface
from facerec.losses.partial_fc import PartialHead
from facerec.losses.proxies import coarse_proxies, mean_proxy_nca, proxy_anchor, proxy_nca
from facerec.pipeline.files import InputError
from facerec.training.state import load_state, save_state
from facerec.training.trainer import head_of
from facerec.training.training_set import TrainingSet

COSFACE, ARCFACE = (1.0, 0.0, 0.2), (1.0, 0.5, 0.0)
PROXY_LOSSES = {"proxy_nca": mean_proxy_nca, "proxy_anchor": partial(proxy_anchor, margin=0.1)}
FACES = TrainingSet((range(12),), np.zeros(12, np.int64), np.arange(12), np.arange(12) % 6, np.ones(12, np.float32))


def batch(rows=10, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(rows, size, generator=generator) * 3
    labels = torch.randint(6, (rows,), generator=generator)
    return embeddings, labels, torch.rand(rows, generator=generator) + 0.5


def chosen(loss, faces=FACES, **options):
    torch.manual_seed(0)
    return head_of(LossOptions(loss, **options), faces, 8, seed=0)


def test_weighted_mean_by_hand():
    losses = F.cross_entropy(
        torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75]])), torch.tensor([0, 0]), reduction="none"
    )
    loss = weighted_mean(losses, torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx((np.log(2) + 3 * np.log(4)) / 4)


def test_head_gives_cosines_whatever_the_lengths():
    head = MarginHead(3, 2, MarginLoss(4, (1.0, 0.0, 0.5)))
    with torch.no_grad():
        head.centres.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0], [-3.0, 0.0]]))
    logits, cosines = head.logits(torch.tensor([[3.0, 4.0]]), torch.tensor([1]))
    torch.testing.assert_close(cosines, torch.tensor([[0.6, 0.8, -0.6]]))
    torch.testing.assert_close(logits, torch.tensor([[2.4, 1.2, -2.4]]))


def test_each_loss_is_its_formula_of_the_weighted_faces(slow_logits):
    embeddings, labels, weights = batch()
    norms = embeddings.norm(dim=1)
    quality = (0.333 * (norms - norms.mean()) / (norms.std() + 1e-3)).clamp(-1, 1)
    logits = {
        "cosface": lambda cosines: slow_logits(cosines, labels, 32, COSFACE),
        "softmax": lambda cosines: 32 * cosines,
        "arcface": lambda cosines: slow_logits(cosines, labels, 32, ARCFACE),
        "combined": lambda cosines: slow_logits(cosines, labels, 32, (1.0, 0.3, 0.2)),
        "adaface": lambda cosines: adaface(cosines, labels, quality, 32, 0.4),
    }
    expected = {
        "proxy_nca": lambda cosines: (weights * proxy_nca(cosines, labels, 18)).sum() / weights.sum(),
        "proxy_anchor": lambda cosines: proxy_anchor(cosines, labels, weights, 32, 0.1),
    }
    assert set(LOSSES) == set(logits) | set(expected)
    values = []
    for name in LOSSES:
        head = chosen(name)
        loss, cosines = head(embeddings, labels, weights)
        torch.testing.assert_close(cosines, F.cosine_similarity(embeddings[:, None], head.centres[None], dim=2))
        if name in logits:
            rows = F.cross_entropy(logits[name](cosines), labels, reduction="none")
            wanted = (weights * rows).sum() / weights.sum()
        else:
            wanted = expected[name](cosines)
        torch.testing.assert_close(loss, wanted)
        loss.backward()
        assert float(head.centres.grad.abs().sum()) > 0
        values.append(round(loss.item(), 4))
    assert len(set(values)) == len(values)


def test_given_numbers_take_the_place_of_defaults(slow_logits):
    embeddings, labels, _ = batch()
    for name, scale, margin in [("arcface", 5.0, 0.1), ("adaface", 5.0, 0.0), ("proxy_anchor", 5.0, 0.3)]:
        assert LossOptions(name, scale, margin).numbers == (scale, (margin,))
    assert LossOptions("combined", margin=[0.9, 0.4, 0.15]).numbers == (32, (0.9, 0.4, 0.15))
    loss, cosines = chosen("combined", scale=7, margin=[0.9, 0.4, 0.15])(embeddings, labels, torch.ones(10))
    torch.testing.assert_close(loss, F.cross_entropy(slow_logits(cosines, labels, 7, (0.9, 0.4, 0.15)), labels))


def test_weights_count_in_every_loss():
    embeddings, labels, weights = batch()
    for name in LOSSES:
        head = chosen(name).eval()
        even, weighted = (head(embeddings, labels, values)[0].item() for values in (torch.ones(10), weights))
        assert abs(weighted - even) > 1e-4, name


def test_one_subcentre_is_the_plain_loss_and_more_take_the_nearest(slow_logits):
    embeddings, labels, weights = batch()
    plain = chosen("arcface")
    loss, cosines = chosen("arcface", subcentres=1)(embeddings, labels, weights)
    assert torch.equal(loss, plain(embeddings, labels, weights)[0])
    head = chosen("arcface", subcentres=3)
    assert head.centres.shape == (18, 8)
    loss, cosines = head(embeddings, labels, weights)
    every = F.cosine_similarity(embeddings[:, None], head.centres[None], dim=2)
    slow = torch.stack([every[:, 3 * label : 3 * label + 3].max(1).values for label in range(6)], dim=1)
    torch.testing.assert_close(cosines, slow)
    rows = F.cross_entropy(slow_logits(slow, labels, 32, ARCFACE), labels, reduction="none")
    torch.testing.assert_close(loss, weighted_mean(rows, weights))


def test_adaface_gets_lengths_and_gives_them_no_gradient():
    embeddings, labels, weights = batch()
    head = chosen("adaface")
    mean = float(embeddings.norm(dim=1).mean())
    embeddings.requires_grad_()
    head(embeddings, labels, weights)[0].backward()
    assert float(head.statistics.mean) == pytest.approx(mean)
    assert float((embeddings.grad * embeddings.detach()).sum(1).abs().max()) < 1e-4
    longer = embeddings.detach().clone()
    longer[0] *= 4
    assert not torch.equal(head(longer, labels, weights)[0], chosen("adaface")(embeddings, labels, weights)[0])


@pytest.mark.parametrize("name", ["proxy_nca", "proxy_anchor"])
def test_levels_add_the_weighted_losses_of_coarser_classes(name):
    embeddings, labels, weights = batch()
    levels = torch.tensor([[0, 0, 1, 1, 2, 3], [0, 0, 0, 0, 1, 1]])
    flat = chosen(name)
    head = ProxyHead(6, 8, partial(PROXY_LOSSES[name], scale=18), Hierarchy(levels, 0.25))
    head.load_state_dict({"centres": flat.centres.detach()}, strict=False)
    loss, cosines = head(embeddings, labels, weights)

    def level_loss(angles, classes):
        if name == "proxy_anchor":
            return proxy_anchor(angles, classes, weights, 18, 0.1)
        return weighted_mean(proxy_nca(angles, classes, 18), weights)

    expected = level_loss(cosines, labels)
    for groups in levels:
        coarse = coarse_proxies(flat.centres.detach(), groups)
        angles = F.cosine_similarity(embeddings[:, None], coarse[None], dim=2)
        expected = expected + 0.25 * level_loss(angles, groups[labels])
    torch.testing.assert_close(loss, expected)
    gradient = torch.autograd.grad(loss, head.centres)[0]
    fine = torch.autograd.grad(level_loss(head(embeddings, labels, weights)[1], labels), head.centres)[0]
    torch.testing.assert_close(gradient, fine)


@pytest.mark.parametrize("name", ["proxy_nca", "proxy_anchor"])
def test_levels_of_weight_zero_are_the_flat_loss(name):
    embeddings, labels, weights = batch()
    torch.manual_seed(0)
    loss = partial(PROXY_LOSSES[name], scale=LOSSES[name].scale)
    head = ProxyHead(6, 8, loss, Hierarchy(torch.tensor([[0, 0, 1, 1, 2, 3]]), weight=0))
    assert torch.equal(head(embeddings, labels, weights)[0], chosen(name)(embeddings, labels, weights)[0])


def test_kmeans_begins_after_some_steps_and_goes_on_from_a_state(tmp_path):
    embeddings, labels, weights = batch()

    def made():
        torch.manual_seed(0)
        head = ProxyHead(6, 8, PROXY_LOSSES["proxy_anchor"], Hierarchy(clusters=3, kmeans_steps=2))
        return head, torch.optim.AdamW(head.parameters(), 0.01)

    def steps(head, optimizer, count):
        losses = []
        for _ in range(count):
            optimizer.zero_grad()
            loss = head(embeddings, labels, weights)[0]
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    head, optimizer = made()
    flat = chosen("proxy_anchor")
    head.eval()(embeddings, labels, weights)
    assert int(head.train().steps) == 0
    straight = steps(head, optimizer, 2)
    assert straight == steps(flat, torch.optim.AdamW(flat.parameters(), 0.01), 2)
    assert head.levels.tolist() == [[0] * 6]
    straight += steps(head, optimizer, 1)
    assert len(head.levels.unique()) == 3
    save_state(tmp_path / "state", head, optimizer, {})
    straight += steps(head, optimizer, 4)
    resumed, optimizer = made()
    load_state(tmp_path / "state", resumed, optimizer)
    assert steps(resumed, optimizer, 4) == straight[3:]
    assert torch.equal(resumed.centres, head.centres)


@pytest.mark.parametrize("name", ["arcface", "proxy_nca"])
def test_two_heads_are_the_weighted_mean_of_two_losses(name, slow_logits):
    embeddings, _, weights = batch()
    labels = torch.arange(10) % 6
    stores = (np.arange(12) % 6 >= 4).astype(np.int64)
    faces = TrainingSet((range(12), range(12)), stores, FACES.row, FACES.label, FACES.weight)
    head = chosen(name, faces, heads=2)
    assert isinstance(head, TwoHeads)
    assert head.centres.shape == (6, 8)
    loss, cosines = head(embeddings, labels, weights)
    angles = F.cosine_similarity(embeddings[:, None], head.centres[None], dim=2)
    rows = []
    for index, label in enumerate(labels.tolist()):
        own = range(4) if label < 4 else range(4, 6)
        scores = angles[index : index + 1, list(own)]
        column = torch.tensor([label - own.start])
        if name == "arcface":
            rows.append(F.cross_entropy(slow_logits(scores, column, 32, ARCFACE), column))
        else:
            rows.append(proxy_nca(scores, column, 18)[0])
        assert (cosines[index] > -torch.inf).nonzero()[:, 0].tolist() == list(own)
        torch.testing.assert_close(cosines[index, list(own)], scores[0])
    torch.testing.assert_close(loss, weighted_mean(torch.stack(rows), weights))
    loss.backward()
    only = labels < 4
    again, _ = head(embeddings[only], labels[only], weights[only])
    torch.testing.assert_close(again, weighted_mean(torch.stack(rows)[only], weights[only]))


def test_two_heads_of_adaface_bear_one_face_of_a_kind():
    embeddings, labels, weights = batch()
    stores = (np.arange(12) % 6 >= 4).astype(np.int64)
    faces = TrainingSet((range(12), range(12)), stores, FACES.row, FACES.label, FACES.weight)
    head = chosen("adaface", faces, heads=2)
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 5])
    assert head(embeddings, labels, weights)[0].isfinite()
    assert float(head.second.statistics.batches) == 0
    assert float(head.first.statistics.batches) == 1


def test_filter_leaves_negatives_above_it_out_of_the_loss(slow_logits):
    embeddings, labels, weights = batch()
    head = chosen("cosface", interclass_filter=0.1)
    loss, cosines = head(embeddings, labels, weights)
    torch.testing.assert_close(cosines, F.cosine_similarity(embeddings[:, None], head.centres[None], dim=2))
    rows, dropped = [], 0
    for index, label in enumerate(labels.tolist()):
        kept = [j for j in range(6) if j == label or cosines[index, j] <= 0.1]
        dropped += 6 - len(kept)
        scores = cosines[index : index + 1, kept]
        column = torch.tensor([kept.index(label)])
        rows.append(F.cross_entropy(slow_logits(scores, column, 32, COSFACE), column))
    assert dropped > 5
    torch.testing.assert_close(loss, weighted_mean(torch.stack(rows), weights))
    loss.backward()
    assert head.centres.grad.isfinite().all()


def test_a_sample_rate_makes_the_head_of_partial_fc():
    head = chosen("arcface", sample_rate=0.5, subcentres=2)
    assert isinstance(head, PartialHead)
    assert (head.rate, head.loss.scale, head.loss.margins, head.centres.shape) == (0.5, 32.0, ARCFACE, (12, 8))
    assert LossOptions("arcface", sample_rate=0.5).head(6, 8, seed=7).seed == 7


def test_numbers_at_the_ends_of_their_ranges_are_taken():
    for options in (
        {"margin": 1.0}, {"margin": 0.0}, {"loss": "arcface", "margin": math.pi / 2},
        {"loss": "combined", "margin": [3, 0, 1]}, {"interclass_filter": 1.0}, {"sample_rate": 1.0},
        {"loss": "proxy_nca", "hierarchy": "kmeans", "hierarchy_weight": 0.0},
    ):  # fmt: skip
        assert chosen(**{"loss": "cosface"} | options)(*batch())[0].isfinite()


def test_unknown_losses_and_numbers_out_of_range_are_refused():
    cases = [
        ({"loss": "triplet"}, "choose one of cosface, softmax, arcface, combined, adaface, proxy_nca, proxy_anchor"),
        ({"scale": 0.0}, "--scale 0.0; it must be positive"),
        ({"scale": math.nan}, "must be positive"),
        ({"scale": math.inf}, "must be positive"),
        ({"margin": -0.1}, "--margin -0.1 with --loss cosface; it is 0 to 1"),
        ({"margin": math.nan}, "it is 0 to 1"),
        ({"loss": "arcface", "margin": 1.6}, "it is 0 to 1.57"),
        ({"loss": "proxy_anchor", "margin": 1.1}, "it is 0 to 1"),
        ({"loss": "softmax", "margin": 0.1}, "--loss softmax; it has no margin"),
        ({"loss": "proxy_nca", "margin": 0.1}, "it has no margin"),
        ({"loss": "combined", "margin": 0.3}, "it takes three numbers, e.g. [1,0.3,0.2]"),
        ({"loss": "arcface", "margin": [1, 0.3, 0.2]}, "it takes one number"),
        ({"loss": "combined", "margin": [4, 0, 0]}, "above 0 to 3, 0 to 1.57 and 0 to 1"),
        ({"loss": "combined", "margin": [0, 0, 0]}, "above 0 to 3"),
        ({"loss": "combined", "margin": [1, 1.6, 0]}, "0 to 1.57 and"),
        ({"loss": "combined", "margin": [1, 0, 1.1]}, "and 0 to 1"),
        ({"loss": "combined", "margin": [3, 0.5, 0]}, "too large together"),
        ({"subcentres": 0}, "--subcentres 0"),
        ({"loss": "proxy_nca", "subcentres": 2}, "1 for proxy losses"),
        ({"hierarchy": "kmeans"}, "--hierarchy with --loss cosface"),
        ({"loss": "proxy_nca", "hierarchy": "leiden"}, "give the folder of a clustering, or kmeans"),
        ({"loss": "proxy_nca", "hierarchy_weight": 1.0}, "--hierarchy-weight without --hierarchy"),
        ({"loss": "proxy_nca", "hierarchy": "kmeans", "hierarchy_weight": -1.0}, "must not be negative"),
        ({"heads": 3}, "--heads 3; 1, or without --hierarchy 2"),
        ({"loss": "proxy_nca", "hierarchy": "kmeans", "heads": 2}, "--heads 2; 1, or without --hierarchy 2"),
        ({"interclass_filter": -0.5}, "--interclass-filter -0.5; it is above 0 to 1"),
        ({"interclass_filter": math.nan}, "it is above 0 to 1"),
        ({"loss": "proxy_anchor", "interclass_filter": 0.5}, "only margin losses have it"),
        ({"sample_rate": 0.0}, "--sample-rate 0.0; it is above 0 to 1"),
        ({"loss": "proxy_nca", "sample_rate": 0.5}, "only margin losses have it"),
        ({"sample_rate": 0.5, "heads": 2}, "Partial FC has one head"),
    ]
    for options, text in cases:
        with pytest.raises(InputError) as refused:
            LossOptions(**options)
        assert text in str(refused.value)
        assert "\n" not in str(refused.value)


def test_hierarchies_come_from_a_folder_or_from_kmeans(tmp_path: Path):
    (tmp_path / "levels" / "00").mkdir(parents=True)
    np.save(tmp_path / "levels" / "00" / "labels.npy", np.array([0, 0, 1, 1, 2, 2] * 2))
    head = chosen("proxy_nca", hierarchy=tmp_path, hierarchy_weight=0.5)
    assert (head.levels.tolist(), head.hierarchy.weight, head.hierarchy.clusters) == ([[0, 0, 1, 1, 2, 2]], 0.5, 0)
    head = head_of(LossOptions("proxy_nca", hierarchy="kmeans"), FACES, 8, seed=3)
    assert head.hierarchy == Hierarchy(None, weight=0.1, clusters=2, kmeans_steps=200, seed=3)
    in_parts = head_of(LossOptions("proxy_nca", hierarchy="kmeans"), FACES, 8, seed=3, parts=4)
    assert in_parts.hierarchy.kmeans_steps == 800, "each of a batch's four parts is a call"
    two = TrainingSet((range(2),), np.zeros(2, np.int64), np.arange(2), np.arange(2), np.ones(2, np.float32))
    with pytest.raises(InputError, match="kmeans with 2 classes; it needs at least 3"):
        chosen("proxy_nca", two, hierarchy="kmeans")


@pytest.mark.parametrize("first_classes", [1, 2, 3])
def test_either_of_two_heads_needs_two_classes(first_classes):
    with pytest.raises(InputError, match="each needs at least two"):
        LossOptions(heads=2).head(first_classes + 1, 8, first_classes)
