"""Conversions in processes of their own, which are forks of one that has imported all they need."""

import importlib
import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from fsspec.config import conf

import a20_parquet
from a20_parquet.errors import DatasetError
from tests.stores.conversions import make_impatient, use_small_memory

LOST = 17
"""Exit code of a process that has lost its lock."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])
for _name in ("a20_parquet.conversion.convert", "s3fs", "gcsfs"):
    importlib.import_module(_name)


@contextmanager
def converting(
    source: str, out: str, reach: Mapping[str, Mapping[str, Any]], **options: Any
) -> Iterator[multiprocessing.process.BaseProcess]:
    """Convert with small memory while the body runs; then the process is killed and gone.

    Args:
        source: of the shards.
        out: where the dataset goes.
        reach: for each of fsspec's protocols how to reach it.
        options: of the conversion.
    """
    process = _CONTEXT.Process(target=_convert, args=(source, out, dict(reach), options))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def _convert(source: str, out: str, reach: dict[str, Any], options: dict[str, Any]) -> None:
    conf.update(reach)
    with pytest.MonkeyPatch.context() as patch:
        use_small_memory(patch)
        make_impatient(patch)
        with suppress(ConnectionError):
            try:
                a20_parquet.convert(source, out, **options)
            except DatasetError as error:
                sys.exit(LOST if "lost its lock" in str(error) else str(error))
