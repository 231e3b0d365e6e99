"""Names of people: given, carried over from an earlier export, lost and changed, by hand."""

import numpy as np

from clustering.people.owners import Earlier, People
from clustering.people.tables import Export

LABELS = np.array([0, 0, 1, 1, 1, 2, -1, 3, 3])
KEYS = list("abcdefghi")


def test_people_by_size_with_given_names_and_numbers():
    found = People.of(LABELS, {3: "Anna"})
    assert found.names == ["person_0001", "person_0002", "Anna"]
    assert found.given.tolist() == [False, False, True]
    assert found.person.tolist() == [1, 1, 0, 0, 0, -1, -1, 2, 2]
    assert found.owners() == ["person_0002"] * 2 + ["person_0001"] * 3 + ["", ""] + ["Anna"] * 2


def test_clusters_of_one_name_are_one_person_and_a_named_face_alone_is_somebody():
    found = People.of(LABELS, {0: "Anna", 3: "Anna", 2: "Ben"})
    assert found.names == ["Anna", "person_0001", "Ben"]
    assert found.owners() == ["Anna"] * 2 + ["person_0001"] * 3 + ["Ben", ""] + ["Anna"] * 2


def test_a_person_of_two_clusters_has_the_number_of_the_first_face_s():
    labels = np.array([-1, 5, 3, 3])
    people = People.of(labels, {3: "Anna", 5: "Anna"})
    found = Export(list("abcd"), labels, people, np.ones(4), np.array([False, False, True, False]), None)._people()
    assert found == [("Anna", "yes", 5, 3, 1, "")]


def test_numbers_leave_given_names_alone():
    assert People.of(LABELS, {0: "person_0001"}).names == ["person_0002", "person_0001", "person_0003"]


def test_nobody_at_all():
    found = People.of(np.array([-1, 0, 1]), {})
    assert (found.names, found.owners()) == ([], ["", "", ""])


def test_names_go_to_the_clusters_with_most_of_their_faces():
    earlier = Earlier(dict(zip("abcdei", ["Anna", "Anna", "Ben", "Ben", "Anna", "Ben"], strict=True)))
    assert earlier.carried(KEYS, LABELS, {}) == {0: "Anna", 1: "Ben"}
    # Anna's faces a, b, e: 0 has two of them. Ben's c, d, i: 1 has two.
    people = People.of(LABELS, earlier.carried(KEYS, LABELS, {}))
    assert earlier.changes(KEYS, people) == [("e", "Anna", "Ben"), ("i", "Ben", "person_0001")]
    assert earlier.lost(people) == []


def test_two_names_in_one_cluster_the_other_goes_where_its_other_faces_are():
    earlier = Earlier({"c": "Anna", "d": "Anna", "e": "Ben", "h": "Ben"})
    assert earlier.carried(KEYS, LABELS, {}) == {1: "Anna", 3: "Ben"}
    only = Earlier({"c": "Anna", "d": "Anna", "e": "Ben"})
    names = only.carried(KEYS, LABELS, {})
    assert names == {1: "Anna"}
    assert only.lost(People.of(LABELS, names)) == ["Ben"]


def test_what_was_named_today_stays():
    earlier = Earlier({"a": "Anna", "b": "Anna", "h": "Ben"})
    assert earlier.carried(KEYS, LABELS, {0: "Carla", 1: "Ben"}) == {0: "Carla", 1: "Ben"}


def test_other_faces_and_a_face_that_has_left_change_nothing():
    earlier = Earlier({"z": "Anna", "g": "Anna"})
    assert earlier.carried(KEYS, LABELS, {}) == {}
    assert earlier.changes(KEYS, People.of(LABELS, {})) == [("g", "Anna", "")]
