"""How much may go to quarantine, counted from any thread."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from a20_parquet.conversion.sort_unit import ErrorLimit
from a20_parquet.errors import RecordError


def error(number: int = 0) -> RecordError:
    """What was found."""
    return RecordError(shard="s", record=number, offset=7, reason="it is bad", fix="Mend it.")


def test_without_a_limit() -> None:
    """Any number may go there, and is counted."""
    limit = ErrorLimit(None)
    for number in range(1000):
        limit.add(error(number))
    assert limit.count == 1000


def test_the_first_is_too_many() -> None:
    """With a limit of 0 the very error is raised."""
    first = error()
    with pytest.raises(RecordError) as caught:
        ErrorLimit(0).add(first)
    assert caught.value is first


def test_one_too_many() -> None:
    """The error says which limit, where, and how to go on."""
    limit = ErrorLimit(2)
    limit.add(error(0))
    limit.add(error(1))
    with pytest.raises(RecordError, match=r"it is bad\. That is more than max_errors 2") as caught:
        limit.add(error(2))
    assert (caught.value.record, caught.value.offset) == (2, 7)
    assert "larger number" in caught.value.fix


def test_what_an_earlier_run_has_counted() -> None:
    """It counts, and is no error by itself."""
    limit = ErrorLimit(2, known=5)
    with pytest.raises(RecordError, match="max_errors 2"):
        limit.add(error())


def test_threads() -> None:
    """None is lost where several count at once, and exactly the surplus is refused."""
    limit = ErrorLimit(500)

    def count(number: int) -> bool:
        try:
            limit.add(error(number))
        except RecordError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(count, range(2000))) == 500
    assert limit.count == 2000
