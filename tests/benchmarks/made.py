"""What tests of the benchmarks share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Measured
from benchmarks.runs import Run


@dataclass(frozen=True, slots=True)
class Made:
    """Shards in a folder."""

    folder: Path
    shards: list[Path]


def make_run(name: str, wall_s: float = 1.0, repetition: int = 0, **other: Any) -> Run:
    """A run of nothing; fields of ``Measured`` are what was measured."""
    measured: dict[str, Any] = {
        "cpu_s": wall_s,
        "peak_rss_bytes": 10,
        "written_bytes": None,
        "result": {},
        "error": None,
    }
    measured |= {key: other.pop(key) for key in measured.keys() & other.keys()}
    values: dict[str, Any] = {
        "source": "shards",
        "input_bytes": 100,
        "output_bytes": 50,
        "files": 1,
        "load": 1.0,
        **other,
    }
    return Run(
        name=name,
        repetition=repetition,
        measured=Measured(wall_s=wall_s, **measured),
        **values,
    )
