"""Numbers of any length in protocol files: read, or refused with their line."""

import pytest

from eval.protocols.pair_list import load_pair_list
from eval.protocols.tables import read_table
from facerec.pipeline.files import InputError

LONG = "9" * 5000


@pytest.mark.parametrize("number", [LONG, "-" + LONG, "9223372036854775808"])
def test_a_table_s_number_that_no_integer_holds(tmp_path, number):
    (tmp_path / "x.csv").write_text(f"A,B\n1,2\n{number},3\n")
    with pytest.raises(InputError, match=r"x\.csv line 3: A is .*expected a whole number"):
        read_table(tmp_path / "x.csv", {"A": "int64", "B": "int64"}, ",", header=True)


def test_a_table_s_largest_number(tmp_path):
    (tmp_path / "x.csv").write_text("A\n9223372036854775807\n")
    assert read_table(tmp_path / "x.csv", {"A": "int64"}, ",", header=True)["A"].to_pylist() == [2**63 - 1]


@pytest.mark.parametrize("text", [f"{LONG}\t2\n", f"1\t{LONG}\n", f"1\t1\nann\t{LONG}\t1\nann\t1\tbob\t1\n"])
def test_a_list_of_pairs(tmp_path, text):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(InputError, match=r"pairs\.txt line [12]: "):
        load_pair_list(tmp_path / "pairs.txt")


def test_a_fold_of_a_list_of_pairs(tmp_path):
    (tmp_path / "pairs.tsv").write_text(f"a\tb\t1\t{LONG}\n" * 10)
    with pytest.raises(InputError, match="line 1: fold '999"):
        load_pair_list(tmp_path / "pairs.tsv")


def test_names_keep_their_letters(tmp_path):
    """A form feed or another separator of lines in Unicode ends no line; a byte order mark is no part of a name."""
    lines = [f"a\x0c{number}\tb\u2028\t{number % 2}\n" for number in range(10)]
    (tmp_path / "pairs.tsv").write_bytes(b"\xef\xbb\xbf" + "".join(lines).encode())
    listed = load_pair_list(tmp_path / "pairs.tsv")
    assert listed.first[:2] == ["a\x0c0", "a\x0c1"]
    assert listed.second == ["b\u2028"] * 10
