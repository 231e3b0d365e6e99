"""When rounds end and which is chosen; what a round does is left out here and tested in test_pseudolabel.py."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import rounds as program


@dataclass
class StandIn:
    """In the place of the recipe and of the workers: makes the folders, and the evaluation's figures."""

    calls: list[str]
    figures: dict[str, float]
    has_validation: bool = True

    def recipe(self, words: list[str]) -> None:
        options = dict(zip(words[::2], words[1::2], strict=True))
        out = Path(options["--out"])
        noted = [f"{name} {options[name]}" for name in ("--teacher", "--stage") if name in options]
        self.calls.append(" ".join([out.name, *noted]))
        for row in ("labelled", "supervised", "hilander"):
            (out / "rows" / row).mkdir(parents=True, exist_ok=True)
        (out / "corpus" / "validation" if self.has_validation else out / "corpus").mkdir(parents=True, exist_ok=True)

    def run(self, chains) -> None:
        for words in [words for chain in chains for words in chain]:
            out = Path(words[words.index("--out") + 1])
            out.mkdir(parents=True, exist_ok=True)
            if words[1] == "pairs":
                text = json.dumps({"fnmr_at_fmr": {"1e-3": self.figures[out.parent.name]}})
                (out / "metrics.json").write_text(text)
            if words[1] == "compare":
                (out / "meta.json").write_text(json.dumps(words))


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    stand_in = StandIn([], {})
    monkeypatch.setattr(program.pseudolabel, "main", stand_in.recipe)
    monkeypatch.setattr(program, "Workers", lambda jobs: stand_in)
    monkeypatch.setattr(program, "load_embeddings", lambda folder: folder)
    monkeypatch.setattr(program, "write_pairs", lambda faces, out: None)
    monkeypatch.setattr(program, "outcome", str)
    return stand_in


@pytest.fixture
def rounds(stand_in):
    """A function that runs rounds of which nothing but the validation figures is known: labelled, round 1, 2 ..."""

    def run(figures: list[float], *options: str) -> int:
        names = ["labelled", *(f"hilander-round{number}" for number in range(1, 20))]
        stand_in.figures = dict(zip(names, figures, strict=False))
        stand_in.calls.clear()
        try:
            program.main(["--out", "out", *options])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def compared(folder: Path) -> list[str]:
    """The rows of the report."""
    words = json.loads((folder / "out" / "report" / "meta.json").read_text())
    runs = json.loads(words[words.index("--runs") + 1])
    assert all((folder / row).is_dir() for row in runs)
    assert {Path(row).name for row in runs} == {path.name for path in (folder / "out" / "rows").iterdir()}
    return [Path(row).name.replace("hilander-round", "") for row in runs[1:-1]]


@pytest.mark.parametrize(
    ("figures", "options", "rows"),
    [
        ([0.5, 0.4, 0.3, 0.2], (), ["1", "2", "3-chosen"]),
        ([0.5, 0.4, 0.6], ("--rounds", "2"), ["1-chosen", "2"]),
        ([0.5, 0.4, 0.4], ("--patience", "1"), ["1-chosen", "2"]),
        ([0.5, 0.4, 0.45, 0.3, 0.35, 0.3], ("--patience", "2"), ["1", "2", "3-chosen", "4", "5"]),
        ([0.5, 0.4, 0.3, 0.35], ("--patience", "1", "--rounds", "2"), ["1", "2-chosen"]),
        ([0.2, 0.4], ("--patience", "1"), ["1"]),
        ([0.2, 0.4, 0.1, 0.1, 0.1], ("--patience", "2"), ["1", "2-chosen", "3", "4"]),
        ([1 / n for n in range(1, 15)], ("--patience", "1"), [*map(str, range(1, 10)), "10-chosen"]),
    ],
)
def test_rounds_end_and_the_best_is_named(rounds, tmp_path, capsys, figures, options, rows):
    assert rounds(figures, *options) == 0
    assert compared(tmp_path) == rows
    chosen = next((f"hilander-round{row.removesuffix('-chosen')}" for row in rows if "chosen" in row), "labelled")
    assert json.loads((tmp_path / "out" / "validation" / "rounds.json").read_text())["chosen"] == chosen
    assert f"best: {chosen}" in capsys.readouterr().err.splitlines()[-2]


def test_every_student_is_the_next_teacher(rounds, stand_in, tmp_path):
    rounds([0.5, 0.4, 0.3, 0.2])
    assert stand_in.calls == [
        "round1",
        "round2 --teacher out/round1/rows/hilander/model",
        "round3 --teacher out/round2/rows/hilander/model",
    ]
    assert (tmp_path / "out" / "round3" / "rows" / "labelled").resolve() == tmp_path / "out/round1/rows/labelled"


def test_more_rounds_can_be_added_later_and_the_report_follows(rounds, tmp_path):
    figures = [0.5, 0.4, 0.45, 0.3]
    assert rounds(figures, "--patience", "1") == 0
    assert compared(tmp_path) == ["1-chosen", "2"]
    assert rounds(figures, "--rounds", "3") == 0
    assert compared(tmp_path) == ["1", "2", "3-chosen"]


def test_a_report_of_somebody_else_is_left_alone(rounds, tmp_path):
    (tmp_path / "out" / "report").mkdir(parents=True)
    (tmp_path / "out" / "report" / "notes.txt").write_text("mine")
    rounds([0.5, 0.4], "--rounds", "1")
    assert (tmp_path / "out" / "report" / "notes.txt").read_text() == "mine"


def test_without_validation_faces_rounds_are_counted_and_none_is_chosen(rounds, stand_in, tmp_path):
    stand_in.has_validation = False
    assert rounds([], "--rounds", "2") == 0
    assert compared(tmp_path) == ["1", "2"]
    assert not (tmp_path / "out" / "validation").exists()


def test_patience_without_validation_faces_is_refused_before_any_training(rounds, stand_in, tmp_path, capsys):
    stand_in.has_validation = False
    assert rounds([], "--patience", "1") == 2
    message = "the corpus has no validation part; give labelled faces of other people as --validation"
    assert message in capsys.readouterr().err
    assert stand_in.calls == ["round1 --stage 1"]
    (tmp_path / "people").mkdir()
    assert rounds([0.5, 0.6], "--patience", "1", "--validation", "people") == 0
    assert compared(tmp_path) == ["1"]


def test_what_stands_in_the_way_of_a_link_is_left_alone(rounds, tmp_path, capsys):
    (tmp_path / "out" / "round2" / "corpus").mkdir(parents=True)
    assert rounds([0.5, 0.4, 0.3], "--rounds", "2") == 2
    assert "round2/corpus: stands where a link to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "--rounds 0 is not a number from 1"),
        (["--patience", "some"], "--patience some is not a number from 1"),
        (["--patience"], "--patience needs a value"),
        (["--validation", "nowhere"], "--validation nowhere: no such faces"),
        (["--colour", "red"], "unknown option --colour"),
        (["--backend", "a,b"], "--backend a,b is not the name of one backend"),
    ],
)
def test_wrong_options_of_the_rounds(rounds, capsys, arguments, message):
    assert rounds([], *arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
