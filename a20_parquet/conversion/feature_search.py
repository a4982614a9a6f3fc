"""Finds the form of wanted features in a bounded sample of records."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from a20_parquet.dataset.summaries import Assumption
from a20_parquet.decoding.batch import RejectedError
from a20_parquet.decoding.decoder import Decoder
from a20_parquet.decoding.example import BYTES_LIST, FLOAT_LIST, list_values, other_names
from a20_parquet.decoding.large import reduce
from a20_parquet.decoding.wire_lists import learn_lists
from a20_parquet.errors import UsageError
from a20_parquet.formatting import first_names, format_count
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.feature_forms import FeatureRequest, SeenFeature, learn_list
from a20_parquet.windows.records import DecodedRecords, FeatureValues
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope

SAMPLED_RECORDS = 256
"""Number of records to sample; at least the first ones of each shard."""

# Start of a serialized TensorProto: its dtype, then its shape, in the order of all writers.
_TENSOR = re.compile(rb"\x08[\x01-\x7f]\x12")
_MOST_NAMED = 20


class FeatureSearch:
    """Looks at records and learns the form of requested features."""

    def __init__(
        self,
        make: Callable[[Sequence[Feature]], Decoder],
        requests: Sequence[FeatureRequest],
        shards: int,
    ) -> None:
        """Prepare to look at the records of so many shards; ``make`` makes a decoder."""
        self._requests = tuple(requests)
        self._quota = -(-SAMPLED_RECORDS // max(shards, 1))
        self._shards: set[int] = set()
        self._here = 0
        self._looked = 0
        self._names: set[str] = set()
        self._seen: dict[str, list[SeenFeature]] = {each.name: [] for each in requests}
        self._tensors = {each.name: make([Feature(each.name, 0)]) for each in requests}
        self._sizes: dict[str, int] = {}
        self._problems: dict[str, str] = {}

    @property
    def wants_more(self) -> bool:
        """Whether more records of the current shard should be looked at."""
        return bool(self._requests) and self._here < self._quota

    def begin_shard(self) -> None:
        """Begin with another shard."""
        self._here = 0

    def look_at(self, records: Records, taken: DecodedRecords) -> None:
        """Look at a batch of records, of which those in ``taken`` can be converted."""
        if not self._requests:
            return
        metadata = taken.metadata
        for number, offset, shape in zip(
            metadata.numbers.tolist(), metadata.offsets, metadata.shapes, strict=True
        ):
            if not self.wants_more:
                break
            self._here += 1
            self._looked += 1
            self._shards.add(metadata.position)
            payload = reduce(records.payloads[number - records.first], self._seen)
            record = Records(records.shard, number, [offset], [payload])
            self._look(record, (shape[0], shape[1]))

    def _look(self, record: Records, shape: tuple[int, int]) -> None:
        payload = bytes(record.payloads[0])
        lists = learn_lists(payload)
        if lists is None:
            try:
                lists = list_values(payload)
            except RejectedError:
                return
        self._names |= other_names(lists, ())
        for request in self._requests:
            if request.name not in lists:
                continue
            kind, values = lists[request.name]
            kinds = _kinds(kind, values)
            if FeatureKind.TENSOR in kinds and request.kind in {None, FeatureKind.TENSOR}:
                self._look_at_tensor(request.name, record)
            self._seen[request.name].append(
                SeenFeature(
                    where=f"record {record.first} of {record.shard.url}",
                    list_kind=kind,
                    kinds=kinds,
                    count=len(values),
                    windows=shape[0],
                    channels=shape[1],
                    longest=max(map(len, values.tolist())) if kind == BYTES_LIST else 0,
                )
            )

    def _look_at_tensor(self, name: str, record: Records) -> None:
        if name in self._sizes:
            return
        decoded = self._tensors[name].decode(record)
        for rejection in decoded.rejected:
            self._problems.setdefault(
                name, f"record {record.first} of {record.shard.url}: {rejection.message}"
            )
        for tensor in decoded.features[name]:
            if tensor is not None:
                self._sizes[name] = tensor.shape[2]

    def found(self) -> tuple[tuple[Feature, ...], tuple[Assumption, ...]]:
        """Return the features with their form, and what had to be assumed.

        Raises:
            UsageError: a feature is in no sampled record, or cannot become a column.
        """
        learnt = [self._learn(request) for request in self._requests]
        assumptions = [
            Assumption(about=f"feature {feature.name}", text=text)
            for feature, text in learnt
            if text is not None
        ]
        return tuple(feature for feature, _ in learnt), tuple(assumptions)

    def _learn(self, request: FeatureRequest) -> tuple[Feature, str | None]:
        seen = self._seen[request.name]
        if not seen:
            raise UsageError(self._missing(request.name))
        kind = request.kind or seen[0].kinds[0]
        if kind is not FeatureKind.TENSOR:
            return learn_list(request, seen)
        size = request.size or self._sizes.get(request.name)
        if size is None:
            problem = self._problems.get(
                request.name, f"in {seen[0].where} it holds no serialized TensorProto"
            )
            raise UsageError(
                f"--feature {request.name} cannot be carried along: {problem}. With --feature "
                f"{request.name}:{FeatureKind.BINARY} it is taken as bytes."
            )
        return Feature(request.name, size), None

    def _missing(self, name: str) -> str:
        known = {each.casefold(): each for each in self._names}
        near = [known[each] for each in get_close_matches(name.casefold(), list(known))]
        others = [*near, *sorted(self._names - set(near))]
        has = f"They have {first_names(others, _MOST_NAMED) or 'no other'}"
        return (
            f"--feature {name}: {_no_form(name)}none of the {self._looked:,} sampled records, the "
            f"first of {format_count(len(self._shards), 'shard')}, has it. {has}. If few records "
            f"have it, give its form: --feature {name}:KIND[SIZE]:SCOPE."
        )


def _no_form(name: str) -> str:
    """Explain that a name's part after a colon is not a form; empty if there is no colon."""
    before, colon, word = name.rpartition(":")
    if not (before and colon):
        return ""
    forms = [*FeatureKind, *FeatureScope]
    alike = get_close_matches(word.partition("[")[0].casefold(), forms, n=1)
    meant = f", did you mean {before}:{alike[0]}? With it as part of the name," if alike else ","
    return f"{word} is not a kind or scope ({', '.join(forms)}){meant} "


def _kinds(list_kind: str, values: FeatureValues) -> tuple[FeatureKind, ...]:
    if list_kind != BYTES_LIST:
        return (FeatureKind.FLOAT if list_kind == FLOAT_LIST else FeatureKind.INT64,)
    contents: list[bytes] = values.tolist()
    kinds = [FeatureKind.BINARY]
    if all(map(_is_text, contents)):
        kinds.insert(0, FeatureKind.STRING)
    if len(contents) == 1 and _TENSOR.match(contents[0]):
        kinds.insert(0, FeatureKind.TENSOR)
    return tuple(kinds)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
