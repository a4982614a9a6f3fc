"""Decodes bad records in several threads at once, and sees that none of them waits for ever.

``python -m tests.robustness.threads --minutes 10``
"""

import faulthandler
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import click
import fsspec

import a20_parquet
from a20_parquet.decoding.decoder import make_decoder
from a20_parquet.errors import RecordError
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import Shard
from tests.helpers.shards import make_record, random_tensor, serialize, write_shard

_THREADS = 4
_SILENCE_S = 120.0


def bad_records(count: int) -> list[bytes]:
    """Records of which a third has a garbage embedding, and a third no filename."""
    from a20_parquet.decoding.tensorflow import load_tensorflow

    train = load_tensorflow().train
    tensor = random_tensor((2, 1, 16))
    good = make_record(tensor)
    garbage = make_record(tensor, proto=b"\xff" * 40)
    stamp = train.Feature(float_list=train.FloatList(value=[0.0]))
    nameless = serialize({"timestamp_s": stamp})
    return [(good, garbage, nameless)[number % 3] for number in range(count)]


class Watch:
    """Ends the process, with what each thread does, if nothing moves for a while."""

    def __init__(self) -> None:
        self.moves = 0

    def move(self) -> None:
        """Say that a thread goes on."""
        self.moves += 1
        faulthandler.dump_traceback_later(_SILENCE_S, exit=True)

    def end(self) -> None:
        """Stop watching."""
        faulthandler.cancel_dump_traceback_later()


def decode_in_threads(decoder_name: str, seconds: float) -> int:
    """Decode batches of bad records with one decoder in four threads; count the batches."""
    decoder = make_decoder(decoder_name)
    payloads = bad_records(30)
    shard = Shard("a", "a", 0, "a", 0, fsspec.filesystem("file"))
    records = Records(shard, 0, list(range(len(payloads))), payloads)
    end = time.monotonic() + seconds
    watch = Watch()
    problems: list[str] = []

    def decode() -> None:
        while time.monotonic() < end and not problems:
            rejected = len(decoder.decode(records).rejected)
            if rejected != len(payloads) * 2 // 3:
                problems.append(f"{rejected} records were rejected")
            watch.move()

    threads = [threading.Thread(target=decode) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.end()
    if problems:
        raise AssertionError(problems[0])
    return watch.moves


def use_commands(folder: Path, decoder: str, shards: int, records: int) -> None:
    """Use every function that decodes with four workers: what writes first, then all at once."""
    counts = [records + 3 * number for number in range(shards)]  # equal shards would be one
    for number, count in enumerate(counts):
        write_shard(folder / "in" / f"a-{number:05d}-of-{shards:05d}", bad_records(count))
    bad = sum(counts) * 2 // 3
    source, dataset = folder / "in", folder / "out"
    options: dict[str, Any] = {"workers": _THREADS, "decoder": decoder}
    watch = Watch()
    for name in ("a-*[02468]-of-*", "a-*"):  # the second one appends
        a20_parquet.convert(source / name, dataset, **options)
        watch.move()
    retried = a20_parquet.convert(dataset / "quarantine", dataset, **options)
    watch.move()
    tiny = a20_parquet.convert(source, folder / "tiny", memory="20MB", **options)
    watch.move()
    assert retried.totals.quarantined == tiny.totals.quarantined == bad

    def verify(dataset: Path) -> bool:
        return a20_parquet.verify(dataset, source, **options).is_good

    def inspect() -> bool:
        return sum(sum(each.rejected.values()) for each in a20_parquet.inspect(source)) == bad

    def plan() -> bool:
        return a20_parquet.plan(source, **options).forecast.windows == bad  # 2 a good record

    def refuse(use: Callable[[], object]) -> bool:
        """Whether the first bad record ends it, which is all that these can do."""
        try:
            use()
        except RecordError:
            return True
        return False

    uses: list[Callable[[], bool]] = [
        partial(verify, dataset),
        partial(verify, dataset),
        partial(verify, folder / "tiny"),
        inspect,
        plan,
        partial(refuse, lambda: a20_parquet.npy_json(source, folder / "npy", **options)),
        partial(refuse, lambda: a20_parquet.read_windows(source, decoder=decoder).read_all()),
    ]
    with ThreadPoolExecutor(len(uses)) as pool:
        for done in as_completed([pool.submit(use) for use in uses]):
            assert done.result()
            watch.move()
    watch.end()


@click.command()
@click.option("--minutes", default=10.0, help="How long to decode with each decoder.")
@click.option("--rounds", default=12, help="How often to use the commands with each decoder.")
def main(minutes: float, rounds: int) -> None:
    """Decode bad records in several threads at once."""
    for decoder in ("tensorflow", "wire"):
        batches = decode_in_threads(decoder, minutes * 60)
        click.echo(f"{decoder}: {batches:,} batches of bad records in {_THREADS} threads")
        for _ in range(rounds):
            folder = Path(tempfile.mkdtemp())
            use_commands(folder, decoder, shards=8, records=300)
            shutil.rmtree(folder)
        click.echo(f"{decoder}: {rounds} rounds of four convert, then of all that reads at once")


if __name__ == "__main__":
    main()
