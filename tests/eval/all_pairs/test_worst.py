import numpy as np

from eval.all_pairs.scores import all_pairs
from eval.all_pairs.units import make_units
from eval.all_pairs.worst import worst_matches, worst_misses


def directions(*angles):
    return np.array([[np.cos(np.deg2rad(a)), np.sin(np.deg2rad(a))] for a in angles], np.float32)


def test_errors_of_labels_are_found_and_come_first():
    """Person 0 at 0 to 4 degrees; 1 at 90; 2 again at 2 (one person under two labels); 3 at 180 with a face at 91."""
    embeddings = directions(0, 2, 4, 90, 93, 86, 1, 3, 2.5, 180, 178, 182, 91)
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    units = make_units(embeddings, labels, None, "x")
    pairs = all_pairs(units)
    matches = worst_matches(pairs, units, 0.5, 9)
    assert [(found.reading, found.pairs) for found in matches] == [
        ("one person under two labels?", 9), ("second face belongs to the first person?", 3),
    ]  # fmt: skip
    assert [units.labels[units.subject[position]] for position in matches[1].units] == [1, 3]
    assert units.face[matches[1].units[1]] == 12
    expected = np.cos(np.deg2rad([91 - 180, 91 - 178, 91 - 182])).mean()
    np.testing.assert_allclose(matches[1].own[1], expected, atol=1e-6)
    np.testing.assert_allclose(matches[1].other[1], np.cos(np.deg2rad([1, 2, 5])).mean(), atol=1e-6)

    misses = worst_misses(pairs, units, 0.5, 9)
    assert [found.reading for found in misses] == ["second face is not of this person?"]  # once, not three times
    assert units.face[misses[0].units[1]] == 12
    assert misses[0].pairs == 3
    assert misses[0].score == min(pairs.genuine.score)
    assert all(found.may_be_mislabelled for found in [*matches, *misses])
    assert worst_misses(pairs, units, misses[0].score, 9) == []  # a pair at the threshold matches


def test_faces_that_belong_to_the_other_person():
    """A face of person 0 among those of 1, so the first of the pair; and person 2, of one face, among those of 3."""
    embeddings = directions(180, 178, 182, 91, 90, 93, 86, 271, 270, 273, 266)
    units = make_units(embeddings, np.array([0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3]), None, "x")
    found = worst_matches(all_pairs(units), units, 0.5, 9)
    assert [(each.reading, each.units[0], each.pairs) for each in found] == [
        ("one person under two labels?", 7, 3), ("first face belongs to the second person?", 3, 3),
    ]  # fmt: skip
    assert np.isnan(found[0].own[0])  # nobody else is of that person
    np.testing.assert_allclose(found[1].other[0], np.cos(np.deg2rad([1, 2, 5])).mean(), atol=1e-6)
    np.testing.assert_allclose(found[1].own[0], np.cos(np.deg2rad([89, 87, 91])).mean(), atol=1e-6)


def test_other_readings():
    """A face that fits nobody; a person of two faces; a face that could not be read; a hard pair; look-alikes."""
    embeddings = directions(0, 60, 55, 150, 200, 260, 310, 0)
    embeddings[7] = 0
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    units = make_units(embeddings, labels, None, "x")
    pairs = all_pairs(units)
    found = {found.reading: found for found in worst_misses(pairs, units, 0.6, 9)}
    assert set(found) == {"the only pair of this person", "a face could not be read"}
    assert found["a face could not be read"].score == 0
    (poor,) = worst_matches(pairs, units, 0.9, 9)  # at 55 degrees, its person's other face at 150
    assert (poor.reading, poor.may_be_mislabelled) == ("a face that fits no person: a poor picture?", False)
    star = make_units(directions(0, 120, 240, 30, 31), np.array([0, 0, 0, 1, 1]), None, "x")
    apart = worst_misses(all_pairs(star), star, 0.9, 9)
    assert {(each.reading, each.may_be_mislabelled) for each in apart} == {
        ("neither fits the person's other faces", False)
    }
    twins = make_units(directions(0, 60, 65, 125), np.array([0, 0, 1, 1]), None, "x")
    (alike,) = worst_matches(all_pairs(twins), twins, 0.9, 9)
    assert (alike.reading, alike.may_be_mislabelled) == ("look-alikes", False)
    assert worst_matches(all_pairs(twins), twins, alike.score, 9) == [alike]  # at the threshold, too
    fan = make_units(directions(0, 40, 80, 200, 201), np.array([0, 0, 0, 1, 1]), None, "x")
    assert [each.reading for each in worst_misses(all_pairs(fan), fan, 0.4, 9)] == [
        "hard pair: both fit the person's other faces"
    ]
    assert worst_matches(pairs, units, 0.9, 0) == []
    fans = make_units(directions(0, 39, 78, 180, 220, 260), np.array([0, 0, 0, 1, 1, 1]), None, "x")
    hard = worst_misses(all_pairs(fans), fans, 0.4, 9)
    assert [fans.subject[found.units[0]] for found in hard] == [1, 0]  # the lowest score first
    assert not any(found.may_be_mislabelled for found in hard)


def test_errors_of_labels_are_found_among_worse_pairs():
    """Half a degree between look-alikes and 210 between two faces of one person, but the face at 271 comes first."""
    angles, labels = (0, 60, 60.5, 120, 180, 182, 178, 271, 270, 273, 266, 330, 120.2), "AABBCCCCDDDFF"
    units = make_units(directions(*angles), np.array([ord(label) for label in labels]), None, "x")
    pairs = all_pairs(units)
    readings = [found.reading for found in worst_matches(pairs, units, 0.9, 9)]
    assert readings[0] == "first face belongs to the second person?"
    assert "look-alikes" in readings
    for found in (*worst_matches(pairs, units, 0.9, 1), *worst_misses(pairs, units, 0.6, 1)):
        assert 271 in (angles[unit] for unit in found.units)
        assert found.may_be_mislabelled
        assert found.score not in (pairs.highest.score.max(), pairs.genuine.score.min())


def test_one_person_is_listed_once_with_another():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(60, 3)).astype(np.float32)
    units = make_units(embeddings, np.arange(60) % 5, None, "x")
    matches = worst_matches(all_pairs(units), units, 0.5, 100)
    people = [tuple(units.subject[list(found.units)].tolist()) for found in matches]
    assert len(set(people)) == len(people) == 10
    for reading in {found.reading for found in matches}:
        scores = [found.score for found in matches if found.reading == reading]
        assert scores == sorted(scores, reverse=True)
    assert len(worst_matches(all_pairs(units), units, 0.5, 3)) == 3
