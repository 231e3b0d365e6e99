"""Where the parts of a run are: its corpus, its rows, and what each backend works on in each round."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from recipe import Sections, Settings

SHORT = "-short"


@dataclasses.dataclass(frozen=True)
class Run:
    """What the stages work on: one folder, and the settings with the options in their place.

    Attributes:
        out: The folder.
        config: The recipe's YAML, which the report shows.
        settings: Its section ``recipe``.
        sections: The settings of each command.
        options: The options that were given over the YAML and change results, as words; the report shows both.
    """

    out: Path
    config: str
    settings: Settings
    sections: Sections
    options: str = ""

    @property
    def rounds(self) -> range:
        """The rounds, from 1."""
        return range(1, self.settings.rounds + 1)

    @property
    def rows(self) -> list[str]:
        """The rows of the report: the bounds, and each backend's student of each round."""
        students = [Turn(self, backend, number).name for backend in self.settings.backends for number in self.rounds]
        return ["labelled", *students, "supervised"]

    @property
    def truth(self) -> Path:
        """The true identities of the unlabelled faces, for scores and the upper bound only."""
        return self.corpus("unlabelled_truth.npy")

    @property
    def test_faces(self) -> Path:
        """The faces of the protocol."""
        return Path(self.settings.test_faces or self.corpus("test"))

    def corpus(self, part: str) -> Path:
        """A part of the corpus."""
        return self.out / "corpus" / part

    def row(self, name: str) -> Path:
        """The folder of a row."""
        return self.out / "rows" / name

    def section(self, name: str) -> Path:
        """The settings of a command."""
        return self.out / "config" / f"{name}.yaml"

    def turns(self, number: int) -> list[Turn]:
        """What each backend works on in a round."""
        return [Turn(self, backend, number) for backend in self.settings.backends]

    def trainings(self, row: str) -> list[tuple[Path, int]]:
        """Folder and number, from 0, of each training of a row; a short student is trained once."""
        count = 1 if row.endswith(SHORT) else self.settings.seeds
        return [(self.row(row) / "seeds" / str(k) if k else self.row(row), k) for k in range(count)]


@dataclasses.dataclass(frozen=True)
class Turn:
    """A backend in a round.

    Attributes:
        run: The run.
        backend: Its name.
        number: The round, from 1.
    """

    run: Run
    backend: str
    number: int

    @property
    def is_last(self) -> bool:
        """Whether its student is trained in full; the others only make the next embeddings."""
        return self.number == self.run.settings.rounds

    @property
    def name(self) -> str:
        """The row; with several rounds it says which, and whether its student is a short one."""
        if self.run.settings.rounds == 1:
            return self.backend
        return f"{self.backend}-round{self.number}{'' if self.is_last else SHORT}"

    @property
    def folder(self) -> Path:
        """The row's folder."""
        return self.run.row(self.name)

    @property
    def before(self) -> Turn | None:
        """The same backend in the round before."""
        return Turn(self.run, self.backend, self.number - 1) if self.number > 1 else None

    @property
    def teacher(self) -> Path:
        """The recogniser that embeds the faces: of round 1 for all backends, then the student of the round before."""
        if self.before is not None:
            return self.before.folder / "model"
        return Path(self.run.settings.teacher or self.run.row("labelled") / "model")

    @property
    def tuned(self) -> Path:
        """The backend's settings and weights, which all rounds share."""
        return Turn(self.run, self.backend, 1).folder / "tuned"

    @property
    def answers(self) -> Path | None:
        """What has been asked up to this round, if anything is."""
        return self.folder / "asked" / "answers.json" if self.run.settings.answers else None

    @property
    def knn(self) -> Path:
        """The graph of the unlabelled faces."""
        return self._made / "knn"

    def embedded(self, part: str) -> Path:
        """A part of the corpus as the teacher embeds it."""
        return self._made / "embeddings" / part

    def embeddings(self, part: str) -> Path:
        """The same as backends and rules see it: whitened, if the recipe says so."""
        return self._made / "whitened" / part if self.run.settings.whiten else self.embedded(part)

    @property
    def _made(self) -> Path:
        return self.run.out if self.number == 1 else self.folder
