"""What ``plan`` says of trainings."""

import shutil

import numpy as np
import pytest

from eval.__main__ import COMMANDS
from eval.commands.ijb import ijb
from eval.commands.plan import plan
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError


def test_without_runs_it_counts_with_what_it_is_told(capsys):
    plan()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "5 rows; from training to training 0.90 points (assumed); from test people to test people"
    assert [line.split()[0] for line in lines[4:10]] == ["1", "2", "3", "5", "10", "20"]
    assert lines[-1] == "A difference of 1 point needs 23 trainings a row (run_pseudolabel.sh --seeds 23)."
    plan(people_sd=1.0)
    assert "A difference of 1 point needs more test people: 1000 trainings do not find it." in capsys.readouterr().out
    plan(training_sd=23)
    assert capsys.readouterr().out.endswith("A difference of 1 point needs more than 1000 trainings a row.\n")
    plan(training_sd=23, people_sd=1.0)
    assert "A difference of 1 point needs more test people" in capsys.readouterr().out
    plan(training_sd=0)
    said = capsys.readouterr().out
    assert said.endswith("A difference of 1 point needs 1 training a row, since trainings do not vary.\n")
    with pytest.raises(InputError, match="--rows 1; a comparison has at least 2"):
        plan(rows=1)


@pytest.mark.parametrize("option", ["--training-sd", "--people-sd"])
def test_a_spread_that_no_error_rate_has_is_refused(option, capsys):
    with pytest.raises(SystemExit):
        run("python -m eval", COMMANDS, ["plan", option, "1e200"])
    assert f"{option}: 1e200; expected a number at least 0 and at most 100" in capsys.readouterr().err


def test_runs_tell_how_much_trainings_and_people_vary(tiny, tmp_path, capsys):
    clean, rng = np.load(tiny / "embeddings" / "embeddings.npy"), np.random.default_rng(0)
    for row in ("a", "a/seeds/1", "b", "b/seeds/1"):
        (tmp_path / row).mkdir(parents=True)
        np.save(tmp_path / row / "e.npy", (clean + 0.8 * rng.standard_normal(clean.shape)).astype(np.float32))
        out = tmp_path / row / "ijb"
        ijb(protocol=tiny / "protocol", embeddings=tmp_path / row / "e.npy", out=out, bootstrap=300)
    plan(runs=[tmp_path / "a", tmp_path / "b"])
    assert "points (measured)" in capsys.readouterr().out
    for row in "ab":
        shutil.rmtree(tmp_path / row / "seeds")
    plan(runs=[tmp_path / "a", tmp_path / "b"], training_sd=2.5)
    assert "from training to training 2.50 points (assumed)" in capsys.readouterr().out
    with pytest.raises(InputError, match="cannot be compared: there is one row"):
        plan(runs=[tmp_path / "a"])
