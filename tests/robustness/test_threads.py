"""Bad records in several threads at once, the short version."""

import subprocess
import sys
from pathlib import Path

import pytest

from a20_parquet.decoding.tensorflow import TensorFlowDecoder, load_tensorflow
from tests.helpers.decoding import as_records
from tests.robustness.threads import bad_records, use_commands

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("decoder", ["tensorflow", "wire"])
def test_no_thread_waits_for_ever(decoder: str) -> None:
    """Four threads decode the same bad records for a while, in a process of their own."""
    code = f"from tests.robustness.threads import decode_in_threads as d; print(d({decoder!r}, 5))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


@pytest.mark.parametrize("decoder", ["tensorflow", "wire"])
def test_commands_with_workers(tmp_path: Path, decoder: str) -> None:
    """Each function that decodes ends, and says the same of bad records."""
    use_commands(tmp_path, decoder, shards=4, records=60)


def test_tensorflow_is_given_nothing_that_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the records of known forms, and no other: its errors may wait for each other."""
    tf = load_tensorflow()
    decoder = TensorFlowDecoder()
    given: list[bytes] = []
    constant = tf.constant

    def keep(values: object, *arguments: object) -> object:
        if isinstance(values, list):
            given.extend(values)
        return constant(values, *arguments)

    monkeypatch.setattr(tf, "constant", keep)
    payloads = bad_records(9)
    assert len(decoder.decode(as_records(payloads)).rejected) == 6
    assert given == [payloads[0]] * 3
