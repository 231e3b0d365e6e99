import pytest

from facerec.pipeline.ranks import (
    barrier,
    broadcast_object,
    init_group,
    is_main,
    local_rank,
    local_world_size,
    make_once,
    rank,
    world_size,
)


@pytest.fixture
def _alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_alone")
def test_a_process_alone_is_rank_0_of_1_and_waits_for_nobody():
    init_group()
    barrier()
    assert (rank(), world_size(), local_rank(), local_world_size(), is_main()) == (0, 1, 0, 1, True)
    assert broadcast_object(["value"]) == ["value"]


def test_torchrun_says_who_it_is(monkeypatch):
    for number, name in enumerate(("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), 3):
        monkeypatch.setenv(name, str(number))
    assert (rank(), world_size(), local_rank(), local_world_size(), is_main()) == (3, 4, 5, 6, False)


@pytest.mark.usefixtures("_alone")
def test_a_file_is_made_once_and_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "file.txt"

    def stopped(file):
        file.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(path, stopped)
    assert not path.exists()
    assert make_once(path, lambda file: file.write_text("whole")) == path
    make_once(path, lambda file: pytest.fail("made again"))
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_only_the_first_process_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    make_once(tmp_path / "file", lambda file: pytest.fail("made by the second"))
