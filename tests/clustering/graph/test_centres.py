"""The nearest centre of a face beside that of an exact search."""

import numpy as np
import pytest

from clustering.graph import centres as module
from clustering.graph.centres import Centres, compared_rows, save_centres
from clustering.graph.codes import Quantiser, shifted
from facerec.pipeline.embeddings import normalize


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(0)
    people = random.normal(size=(300, 32))
    return normalize((people[:, None] + 0.7 * random.normal(size=(300, 30, 32))).reshape(-1, 32).astype(np.float32))


@pytest.fixture(scope="module")
def trained(rows, tmp_path_factory) -> tuple[Centres, Quantiser]:
    file, quantiser = tmp_path_factory.mktemp("centres") / "centres.npz", Quantiser.of(rows)
    save_centres(file, rows, 400, 4_000, 10, seed=0)
    return Centres.read(file, quantiser), quantiser


def test_a_seed_of_any_size(tmp_path):
    some, files = normalize(np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)), []
    for seed in (3, 2**31 + 3, 4):
        files.append(tmp_path / f"{seed}.npz")
        save_centres(files[-1], some, 9, 60, 2, seed)
    small, large, other = (np.load(file)["means"] for file in files)
    np.testing.assert_array_equal(small, large)
    assert not np.array_equal(small, other)


def exact(centres: Centres, codes: np.ndarray) -> np.ndarray:
    """The first of the nearest centres of each face, and the product with it."""
    scores = codes.astype(np.int64) @ centres.codes.T.astype(np.int64)
    return np.stack([scores.argmax(axis=1), scores.max(axis=1)])


def test_each_coarse_cell_holds_the_centres_nearest_to_its_mean(trained):
    centres = trained[0]
    assert 390 <= len(centres.codes) <= 410
    assert len(centres.coarse) == 20
    coarse = np.repeat(np.arange(20), np.diff(centres.starts))
    scores = centres.codes.astype(int) @ centres.coarse.astype(int).T
    assert np.mean(scores.argmax(axis=1) == coarse) > 0.95


def test_among_all_coarse_cells_the_nearest_centre_is_found(rows, trained, monkeypatch):
    centres, quantiser = trained
    codes = quantiser.encode(rows)
    monkeypatch.setattr(module, "LOOKED_INTO", len(centres.coarse))
    np.testing.assert_array_equal(centres.nearest(shifted(codes)), exact(centres, codes)[0])


def test_in_a_few_coarse_cells_it_is_found_nearly_always_and_else_one_as_near(rows, trained, monkeypatch):
    centres, quantiser = trained
    codes = quantiser.encode(rows)
    best, score = exact(centres, codes)
    shares, near = [], []
    for coarse in (1, 3, 8):
        monkeypatch.setattr(module, "LOOKED_INTO", coarse)
        found = centres.nearest(shifted(codes))
        shares.append((found == best).mean())
        products = (codes.astype(np.int64) * centres.codes[found]).sum(axis=1)
        assert np.all(products <= score)
        near.append(products.mean() / score.mean())
    assert (shares, near) == (sorted(shares), sorted(near))
    assert shares[-1] > 0.99
    assert near[-1] > 0.999


def test_of_centres_that_are_equally_near_it_is_the_first(rows, trained):
    centres, quantiser = trained
    twice = Centres(np.repeat(centres.codes, 2, axis=0), centres.coarse, 2 * centres.starts)
    some = shifted(quantiser.encode(rows[:700]))
    np.testing.assert_array_equal(twice.nearest(some), 2 * centres.nearest(some))


def test_faces_at_once_change_nothing(rows, trained, monkeypatch):
    centres, quantiser = trained
    some = shifted(quantiser.encode(rows))
    whole = centres.nearest(some)
    for name, number in (("PRODUCT_ROWS", 5), ("MOST_COMPARED", 33)):
        monkeypatch.setattr(module, name, number)
        np.testing.assert_array_equal(centres.nearest(some), whole)


@pytest.mark.parametrize(("number", "rows"), [(0, 512), (1, 512), (512, 512), (5_000, 52), (17_888, 24), (10**6, 24)])
def test_products_stay_in_the_cache(number, rows):
    assert compared_rows(number) == rows
