"""The README's line of the whole job runs as written."""

import shlex
import subprocess
from pathlib import Path

from .conftest import RECIPES, TINY, environment

README = RECIPES.parent / "README.md"


def test_the_job_runs_as_written(finished, tmp_path):
    line = next(line for line in README.read_text().splitlines() if line.startswith("recipes/"))
    place = tmp_path / "place"
    (place / "runs").mkdir(parents=True)
    (place / "recipes").symlink_to(RECIPES)
    finished.rename(place / "runs" / Path(shlex.split(line)[-1]).name)
    (place / "my.yaml").write_text(TINY)
    done = subprocess.run(shlex.split(line), cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
