"""Rows of a table and the lines that they stand on."""

import pytest

from eval.protocols.tables import line_of, read_table
from facerec.pipeline.files import InputError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_rows_whatever_ends_them(tmp_path, end):
    file = tmp_path / "table.txt"
    file.write_bytes(end.join(["a 1", "", "b 2", "c 3", ""]).encode())
    table = read_table(file, {"name": "string", "number": "int64"})
    assert table["number"].to_pylist() == [1, 2, 3]
    assert [line_of(file, row) for row in range(3)] == [1, 3, 4]
    assert line_of(file, 7) == 8


def test_a_wanted_column_that_is_there_twice_is_refused(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("id,Note,name,note\n1,x,a,y\n")
    assert read_table(file, {"ID": "id", "name": "string"}, ",", header=True)["name"].to_pylist() == ["a"]
    file.write_text("id,name,ID\n1,a,2\n")
    with pytest.raises(InputError, match="table.csv: 2 columns ID; which one counts"):
        read_table(file, {"ID": "id", "name": "string"}, ",", header=True)


@pytest.mark.parametrize("between", [",", ";"])
def test_fields_between_other_characters_are_no_header(tmp_path, between):
    file = tmp_path / "table.txt"
    file.write_text(between.join(["a.jpg", "1", "7"]) + "\n")
    with pytest.raises(InputError, match=r"line 1: 1 fields in .*; expected 3: name template media$"):
        read_table(file, {"name": "string", "template": "id", "media": "id"})
