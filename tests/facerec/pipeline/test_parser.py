"""Options from signatures: lists, help, and what a wrong one may have meant."""

from pathlib import Path
from typing import Any, Literal

import pytest
from jsonargparse.typing import PositiveFloat, PositiveInt

from facerec.pipeline.files import InputError
from facerec.pipeline.overview import first_line, overview
from facerec.pipeline.parser import call, listed


def work(
    runs: list[Path], names: list[str] | None = None, size: int | list[int] | None = None, k: int = 3,
    kind: Literal["some", "all"] = "some", settings: list[dict[str, Any]] | None = None, share: float = 1.0,
    many: PositiveInt = 2, part: PositiveFloat | None = None, place: Literal["here"] | Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Works.

    Args:
        runs: Folders.
        names: Words.
        size: One or several.
        k: Neighbours.
        kind: Which.
        settings: By name.
        share: A number.
        many: From 1.
        part: Above 0.
        place: Here or elsewhere.
    """
    return locals()


def given(*words: str) -> dict[str, Any]:
    return call("prog", "work", work, words)


def test_lists_are_words_or_one_word_with_commas_or_yaml(tmp_path):
    for words in (["a", "b"], ["a,b"], ["[a, b]"], ['["a", "b"]']):
        assert given("--runs", *words)["runs"] == [Path("a"), Path("b")]
    assert given("--runs=a,b", "--k", "5") == given("--k", "5", "--runs", "a", "b")
    assert given("--runs", "a", "--names", "x,y z")["names"] == ["x", "y z"]
    (tmp_path / "a,b").mkdir()
    assert given("--runs", str(tmp_path / "a,b"))["runs"] == [tmp_path / "a,b"]


def test_paths_below_the_home_folder(tmp_path, monkeypatch):
    """The shell leaves ``--runs=~/a`` as it is, and YAML has no shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.yaml").write_text("runs: [~/a, b~/c]\nnames: ['~/n']\n")
    for words in (["--runs=~/a,b~/c", "--names", "~/n"], ["--config", str(tmp_path / "x.yaml")]):
        found = given(*words)
        assert (found["runs"], found["names"]) == ([tmp_path / "a", Path("b~/c")], ["~/n"])


def test_a_user_without_a_home_folder_has_no_paths_below_it(monkeypatch):
    """As in a container, where such a user has no entry in /etc/passwd."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert given("--runs", "~/a")["runs"] == [Path("~/a")]


def test_empty_paths_are_not_the_current_folder():
    def read(old_faces: Path, model: Path | None = None, words: str = "") -> dict[str, Any]:
        return locals()

    assert call("prog", "read", read, ["--old-faces", ".", "--words", ""])["old_faces"] == Path()
    for words in (["--old-faces", ""], ["--old-faces="], ["--old-faces", "a", "--model", ""]):
        with pytest.raises(InputError, match=f"{words[-2] if len(words) > 1 else '--old-faces'} is empty; give a path"):
            call("prog", "read", read, words)


def test_one_value_stays_one_where_an_option_takes_both():
    assert given("--runs", "a", "--size", "640")["size"] == 640
    assert given("--runs", "a", "--size", "128", "640")["size"] == [128, 640]
    assert given("--runs", "a", "--settings", "[{k: 3}]")["settings"] == [{"k": 3}]


def test_other_options_are_left_alone():
    assert listed(["--k", "3", "--kind", "a,b"], work) == ["--k", "3", "--kind", "a,b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "a", "--k", "x"], "--k: x; expected a whole number"),
        (["--runs", "a", "--size", "x"], "--size: x; expected a whole number, one or several"),
        (["--runs", "a", "--many", "x"], "--many: x; expected a whole number"),
        (["--runs", "a", "--many", "1.5"], "--many: 1.5; expected a whole number"),
        (["--runs", "a", "--many", "[1, 2]"], "--many: expected a whole number"),
        (["--runs", "a", "--part", "x"], "--part: x; expected a number"),
        (["--runs", "a", "--part", "-1"], "--part: -1; expected a number above 0"),
        (["--runs", "a", "--share", "1e400"], "--share: inf; expected a finite number"),
        (["--runs", "a", "--share", ".nan"], "--share: nan; expected a finite number"),
        (["--runs", "a", "--kind", "most"], "--kind: most; expected one of some, all"),
        (["--runs", "a", "--nams", "b"], "there is no option --nams; did you mean --names?"),
        (["--runs", "a", "--frob-nicate", "b"], "there is no option --frob-nicate (see --help)"),
        (["--k", "3"], "the following arguments are required: --runs"),
    ],
)
def test_complaints_are_in_the_user_s_words(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        given(*words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(("prog work: error: ", "prog: error: "))
    assert message in said
    assert said.count("\n") == 1


def test_help_names_kinds_and_defaults(capsys):
    with pytest.raises(SystemExit):
        given("--help")
    said = capsys.readouterr().out
    assert "--runs PATH [PATH ...]" in said
    assert "--k INT" in said
    assert "(default: 3)" in said
    assert "{some,all}" in said
    assert "--place here|PATH" in said
    assert "class" not in said
    assert "--runs+" not in said


def test_the_overview_has_a_line_a_command():
    said = overview("python -m x", "About.", {"knn": "clustering.commands.knn:knn", "nothing": "json:nothing"})
    assert first_line("clustering.commands.knn:knn").startswith("Finds the k nearest neighbours")
    assert "  knn      Finds the k nearest" in said


def test_an_option_without_value_in_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("runs: [a]\nsize:\nk:\n")
    with pytest.raises(SystemExit, match="2"):
        given("--config", str(tmp_path / "x.yaml"))
    assert "error: --k: no value; expected a whole number (see --help)" in capsys.readouterr().err
    (tmp_path / "x.yaml").write_text("runs: [a]\nk: 3\nk: 4\n")
    with pytest.raises(InputError, match="line 3: 'k' stands there before, in line 2"):
        given("--config", str(tmp_path / "x.yaml"))
