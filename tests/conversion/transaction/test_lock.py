"""A dataset's place: who may convert into it, and what is left there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from a20_parquet.conversion.transaction.lock import State, clear_conversion, find_state, locked
from a20_parquet.errors import DatasetError, UsageError
from tests.helpers.layout import LocalLayout
from tests.helpers.places import (
    FOREIGN,
    FREE,
    OURS,
    Put,
    listing,
    put_complete,
    put_empty,
    put_lock,
    put_nothing,
    put_unfinished,
)


@pytest.mark.parametrize("put", FREE)
def test_what_is_free(put: Put, tmp_path: Path) -> None:
    """Nothing, an empty folder, and what died before it began can be taken."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    assert find_state(layout) is State.EMPTY
    with locked(layout):
        assert find_state(layout) is State.EMPTY


def test_what_is_ours(tmp_path: Path) -> None:
    """A conversion and a dataset are told apart, and an append is a conversion."""
    unfinished, complete = (LocalLayout.at(tmp_path / name) for name in "ab")
    put_unfinished(unfinished.root)
    put_complete(complete.root)
    assert find_state(unfinished) is State.UNFINISHED
    assert find_state(complete) is State.COMPLETE
    complete.conversion.mkdir()
    complete.plan.write_bytes(unfinished.plan.read_bytes())
    assert find_state(complete) is State.UNFINISHED


@pytest.mark.parametrize("put", FOREIGN)
def test_what_is_not_ours(put: Put, tmp_path: Path) -> None:
    """Anything else is refused and stays as it is."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    with pytest.raises(UsageError, match="Name a"), locked(layout):
        pytest.fail("it was taken")
    assert listing(layout.root) == before


@pytest.mark.parametrize("put", [put_nothing, put_empty, *OURS])
def test_nothing_is_left_of_a_lock(put: Put, tmp_path: Path) -> None:
    """A place is as it was after a lock, the folder above it included."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    with locked(layout):
        assert layout.lock.exists()
    assert listing(layout.root) == before


def test_an_error_frees_the_lock(tmp_path: Path) -> None:
    """Whatever ends the body, the next one can begin."""
    layout = LocalLayout.at(tmp_path / "dataset")
    with pytest.raises(KeyboardInterrupt), locked(layout):
        raise KeyboardInterrupt
    with locked(layout):
        pass
    assert not layout.root.exists()


HOLD = """
import sys, time
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.layout import DatasetLayout
with locked(DatasetLayout.at(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_living_process_keeps_others_out_and_a_dead_one_does_not(tmp_path: Path) -> None:
    """The second is refused while the first lives; a lock left by SIGKILL is taken over."""
    layout = LocalLayout.at(tmp_path / "dataset")
    arguments = [sys.executable, "-c", HOLD, str(layout.root)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another process is converting"), locked(layout):
            pytest.fail("both have it")
        assert layout.lock.exists()
        process.send_signal(signal.SIGKILL)
    assert layout.lock.exists()
    with locked(layout):
        pass
    assert not layout.lock.exists()


def test_two_locks_in_one_process(tmp_path: Path) -> None:
    """A second conversion in the same process is refused as well."""
    layout = LocalLayout.at(tmp_path / "dataset")
    with locked(layout):
        with pytest.raises(UsageError, match="another process"), locked(layout):
            pytest.fail("both have it")
        assert layout.lock.exists()


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    """A folder below a file cannot be made, which is an error that names the place."""
    (tmp_path / "file").write_text("mine")
    layout = LocalLayout.at(tmp_path / "file" / "dataset")
    with pytest.raises(DatasetError, match="cannot be written"), locked(layout):
        pytest.fail("it was taken")


def test_clearing_leaves_plan_and_lock(tmp_path: Path) -> None:
    """All else that a conversion needed goes, folders and files."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    layout.lock.touch()
    layout.commit.write_text("{}")
    clear_conversion(layout)
    assert sorted(path.name for path in layout.conversion.iterdir()) == ["lock", "plan.json"]
    put_lock(tmp_path / "other")
    clear_conversion(LocalLayout.at(tmp_path / "other"))
    assert listing(tmp_path / "other")[-1][0].endswith("lock")
