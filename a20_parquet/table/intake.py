"""Which records of a decoded batch become windows, which are wanted, and which are rejected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from a20_parquet.table.decoded import DecodedRecords
from a20_parquet.table.filename import parse_filenames
from a20_parquet.table.rejection import Reason, Rejection
from a20_parquet.table.windows import MAX_CHANNELS, WindowRules

_MOST_NAMES = 1 << 16


@dataclass(frozen=True, slots=True)
class Intake:
    """A batch of records, sorted out."""

    taken: DecodedRecords
    """Those whose windows go on."""
    rejected: tuple[Rejection, ...]
    """Those that can't be converted, what the decode stage rejected included; in shard order."""
    left_out: int
    """Windows of the others, which lie outside of what was asked for."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    problem: str | None
    """Why a recording of this name can't be taken; none where it can."""
    is_wanted: bool
    """Whether any window of it may be in the selection."""


class RecordFilter:
    """Sorts out batches of records; for one thread.

    Filenames return from record to record: what one tells is remembered.

    Attributes:
        rules: how records become windows.
    """

    def __init__(self, rules: WindowRules) -> None:
        self.rules = rules
        self._verdicts: dict[bytes, _Verdict] = {}

    def sort_out(self, decoded: DecodedRecords) -> Intake:
        """Say which records of a batch go on."""
        verdicts = self._judge(decoded.heads.filenames)
        rejected = list(decoded.rejected)
        taken = []
        left_out = 0
        for index, number in enumerate(decoded.heads.numbers.tolist()):
            found = self._reject(decoded, index, verdicts[index])
            if found is not None:
                rejected.append(Rejection(number, *found))
            elif verdicts[index].is_wanted:
                taken.append(index)
                left_out += self._count_dropped(decoded.heads.shapes[index])
            else:
                windows, channels, _ = decoded.heads.shapes[index]
                left_out += windows * channels
        whole = len(taken) == len(decoded.heads)
        return Intake(
            decoded if whole else decoded.take(taken),
            tuple(sorted(rejected, key=lambda rejection: rejection.number)),
            left_out,
        )

    def check(self, decoded: DecodedRecords) -> None:
        """Check that every record of a batch can be converted.

        Raises:
            RecordError: one can't; the first is named.
        """
        for rejection in self.sort_out(decoded).rejected:
            index = decoded.heads.numbers.tolist().index(rejection.number)
            raise decoded.heads.error(
                index, rejection.message, rejection.reason.fix, rejection.reason
            )

    def _reject(
        self, decoded: DecodedRecords, index: int, verdict: _Verdict
    ) -> tuple[Reason, str] | None:
        _, channels, dims = decoded.heads.shapes[index]
        if dims != self.rules.dims:
            return Reason.WRONG_DIMS, (
                f"its embedding has {dims} dimensions, expected {self.rules.dims} as in the first "
                "record or as --dims says"
            )
        if channels > MAX_CHANNELS:
            return Reason.BAD_TENSOR, (
                f"its embedding has {channels} channels, expected {MAX_CHANNELS} at most"
            )
        for feature in self.rules.features:
            tensor = decoded.features[feature.name][index]
            if tensor is not None and tensor.shape[2] != feature.size:
                return Reason.BAD_FEATURE, (
                    f"feature {feature.name!r} has {tensor.shape[2]} values a window, expected "
                    f"{feature.size} as in the first record that has it"
                )
        if verdict.problem is not None:
            return Reason.BAD_FILENAME, verdict.problem
        return None

    def _count_dropped(self, shape: tuple[int, int, int]) -> int:
        windows, channels, _ = shape
        taken = int(self.rules.count_channels(np.array(channels, np.int64)))
        return windows * (channels - taken)

    def _judge(self, filenames: Sequence[bytes]) -> list[_Verdict]:
        new = {name for name in filenames if name not in self._verdicts}
        if new:
            if len(self._verdicts) > _MOST_NAMES:
                self._verdicts.clear()
                new = set(filenames)
            self._verdicts.update(self._read(sorted(new)))
        return [self._verdicts[name] for name in filenames]

    def _read(self, names: Sequence[bytes]) -> Iterator[tuple[bytes, _Verdict]]:
        texts = []
        for name in names:
            try:
                name.decode()
            except UnicodeDecodeError:
                yield name, _Verdict(f"the filename {name!r} is no UTF-8 text", is_wanted=False)
            else:
                texts.append(name)
        recordings = parse_filenames(
            pa.array(texts, pa.binary()).cast(pa.string()), self.rules.filenames
        )
        wanted = self.rules.selection.may_take(recordings).tolist()
        for name, problem, is_wanted in zip(texts, recordings.problems, wanted, strict=True):
            yield name, _Verdict(problem, is_wanted)
