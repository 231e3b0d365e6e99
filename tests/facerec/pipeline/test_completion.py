"""How a line in the shell may go on."""

import subprocess
import sys
from pathlib import Path

import pytest

from facerec.pipeline.completion import options_of


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -m eval co", ["compare"]),
        ("python -m eval pairs --com", ["--compatibility"]),
        ("python -m eval ijb --norm ", ["removed", "kept"]),
    ],
)
def test_the_shell_is_told_commands_options_and_choices(line, expected, tmp_path):
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "3", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "PYTHONPATH": ":".join(filter(None, sys.path)),
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-m", "eval"], env=asked, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    assert [word.strip() for word in answer.read_text().split("\013")] == expected


def test_options_have_dashes_and_only_literals_have_choices():
    def work(min_size: int, out: Path) -> None:
        """Nothing."""

    assert options_of(work) == {"--min-size": None, "--out": None}
