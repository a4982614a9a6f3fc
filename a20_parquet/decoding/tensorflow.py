"""The decode stage with TensorFlow.

TensorFlow takes whole batches. Embeddings come out as views of the bytes that it cut out of each
record, so that the only copy left is the one to the place where they belong.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise, repeat
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from a20_parquet.decoding.batch import DecodedRecord, gather, per_row, per_window
from a20_parquet.decoding.exact import ExactDecoder
from a20_parquet.decoding.example import (
    BYTES_LIST,
    EMBEDDING,
    FILENAME,
    FLOAT_LIST,
    INT64_LIST,
    LISTS,
    MAX_TIMESTAMP_S,
    TIMESTAMP,
)
from a20_parquet.decoding.large import reduce
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.decoding.wire_form import KnownForms, RecordForm, TensorPlace
from a20_parquet.decoding.wire_lists import ListPlace
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.feature_kinds import FeatureKind
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues
from a20_parquet.windows.schema import Feature

_LOGGER = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def load_tensorflow() -> ModuleType:
    """Import TensorFlow, without its start-up messages, without Keras and using no GPUs.

    One that is imported already is left as it is.
    """
    if "tensorflow" in sys.modules:
        return import_module("tensorflow")
    with _silenced_stderr(), _variable("TF_CPP_MIN_LOG_LEVEL", "3"):
        with _without_keras(), _without_collecting():
            tf = import_module("tensorflow")
        # A variable such as CUDA_VISIBLE_DEVICES would take GPUs from all else in this process.
        with suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return tf


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    # TensorFlow's C++ part writes to the file descriptor before any log level counts.
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment while the body runs, unless the user has."""
    is_set = name in os.environ
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if not is_set:
            os.environ.pop(name, None)


@contextmanager
def _without_keras() -> Iterator[None]:
    # TensorFlow loads Keras at once, a sixth of the import; with pandas, matplotlib and IPython,
    # which Keras loads where there are any, more than a third. This variable asks for the package
    # tf_keras instead, and where there is none, for nothing. ``tf.keras`` reads it again when it is
    # first used.
    if find_spec("tf_keras") is not None:
        yield
        return
    with _variable("TF_USE_LEGACY_KERAS", "1"):
        yield


@contextmanager
def _without_collecting() -> Iterator[None]:
    # What is imported stays: to look for garbage in it again and again takes a sixth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _batch_parser(tf: Any, features: Sequence[Feature]) -> Callable[[Any], "_Parsed"]:
    # ``tf.io.parse_example`` takes 2 ms to call this operation, a ``tf.function`` of it 0.5 ms.
    string, int64 = tf.string, tf.int64
    nothing = tf.constant([], string)
    tensors = [feature.name for feature in features if feature.kind is FeatureKind.TENSOR]
    lists = {feature.name: feature.kind for feature in features if feature.name not in tensors}
    types = {BYTES_LIST: string, FLOAT_LIST: tf.float32, INT64_LIST: int64}
    # Empty ones are no defaults: each record has it. What it lacks its form says.
    defaults = {
        TIMESTAMP: tf.constant([], tf.float32),
        FILENAME: nothing,
        EMBEDDING: nothing,
        **{name: tf.constant("", string) for name in tensors},
    }
    keys = tf.constant(list(defaults), string)
    ragged_keys = tf.constant(list(lists), string)

    def parse(payloads: Any) -> _Parsed:
        parsed = tf.raw_ops.ParseExampleV2(
            serialized=payloads,
            names=nothing,
            sparse_keys=nothing,
            dense_keys=keys,
            ragged_keys=ragged_keys,
            dense_defaults=list(defaults.values()),
            num_sparse=0,
            sparse_types=[],
            ragged_value_types=[types[LISTS[kind]] for kind in lists.values()],
            ragged_split_types=[int64] * len(lists),
            dense_shapes=[[]] * len(defaults),
        )
        found = zip(lists, parsed.ragged_values, parsed.ragged_row_splits, strict=True)
        return _Parsed(
            [tensor.numpy() for tensor in parsed.dense_values],
            {name: _divided(values.numpy(), splits.numpy()) for name, values, splits in found},
        )

    return parse


class _Parsed(NamedTuple):
    """A batch of records, parsed by TensorFlow."""

    dense: Sequence[Any]
    """What all records have once: one array each."""
    lists: dict[str, list[FeatureValues | None]]
    """The lists of further features, one a record; None where it has no value."""


def _divided(values: FeatureValues, splits: npt.NDArray[np.int64]) -> list[FeatureValues | None]:
    bounds = pairwise(splits.tolist())
    return [values[first:stop] if first < stop else None for first, stop in bounds]


class TensorFlowDecoder:
    """Decodes batches of records; one object may serve several threads.

    TensorFlow takes a batch at once. It gets no record that it could refuse: one of a form that is
    not known for certain (see ``record_form``) is taken apart by protobuf, so that what becomes of
    a record does not depend on others. Errors that TensorFlow raises in two threads at once can
    wait for each other for ever.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        """Prepare to decode.

        Args:
            features: further features to decode.
        """
        self._tf: Any = load_tensorflow()
        self._wanted = tuple(features)
        self._parse = _batch_parser(self._tf, self._wanted)
        self._names = frozenset(feature.name for feature in features)
        self._forms = KnownForms(self._wanted)
        self._exact = ExactDecoder(self._wanted)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Made anew in another process, which imports TensorFlow by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        payloads = [reduce(payload, self._names) for payload in records.payloads]
        forms = [self._known_form(payload) for payload in payloads]
        known = [index for index, form in enumerate(forms) if form is not None]
        batch = self._decode_batch(
            [payloads[index] for index in known], [form for form in forms if form is not None]
        )
        decoded = dict(zip(known, batch, strict=True))
        rate_hz = records.shard.sample_rate_hz
        found = [
            decoded.get(index) or self._exact.decode(payload, rate_hz)
            for index, payload in enumerate(payloads)
        ]
        return gather(records, found, self._wanted)

    def _known_form(self, payload: bytes) -> RecordForm | None:
        """Return the form of a record that TensorFlow is certain to parse, else None."""
        form = self._forms.find(payload)
        for place in form.features if form is not None else ():
            if isinstance(place, ListPlace) and place.read(payload) is None:
                return None
        return form

    def _decode_batch(
        self, payloads: Sequence[bytes], forms: Sequence[RecordForm]
    ) -> list[DecodedRecord | None]:
        """Decode records of known forms; None for each whose values can't be used."""
        if not payloads:
            return []
        try:
            parsed = self._parse(self._tf.constant(payloads, self._tf.string))
        except self._tf.errors.OpError:
            # Nothing is known that leads here; protobuf takes each record apart then.
            _LOGGER.exception("TensorFlow refuses records of known forms")
            return [None] * len(payloads)
        stamps, filenames, protos, *tensors = (column.tolist() for column in parsed.dense)
        dense = iter(tensors)
        further = [
            next(dense) if feature.kind is FeatureKind.TENSOR else parsed.lists[feature.name]
            for feature in self._wanted
        ]
        rows = zip(*further, strict=True) if further else repeat(())
        return [
            self._record(*row) for row in zip(forms, filenames, stamps, protos, rows, strict=False)
        ]

    def _record(
        self,
        form: RecordForm,
        filename: bytes,
        timestamp_s: float,
        proto: bytes,
        further: Sequence[bytes | FeatureValues | None],
    ) -> DecodedRecord | None:
        """Put together what TensorFlow has parsed; None if a value can't be used."""
        if not abs(timestamp_s) <= MAX_TIMESTAMP_S:
            return None
        embedding = _floats(proto, form.embedding)
        try:
            features = tuple(
                _further(feature, place, found, embedding)
                for feature, place, found in zip(self._wanted, form.features, further, strict=True)
            )
        except TensorError:
            return None
        return DecodedRecord(
            filename,
            timestamp_s,
            embedding,
            form.claims_another_shape,
            features,
            form.other_features,
        )


def _further(
    feature: Feature,
    place: TensorPlace | ListPlace | None,
    found: bytes | FeatureValues | None,
    embedding: Embedding,
) -> FeatureValues | None:
    """The values of a further feature; None if the record lacks it.

    Raises:
        TensorError: they are not as their column needs them.
    """
    if isinstance(found, bytes):
        if isinstance(place, TensorPlace):
            return per_window(_floats(found, place), embedding)
        return None
    return None if found is None else per_row(found, feature, embedding)


def _floats(proto: bytes, place: TensorPlace) -> Embedding:
    """The floats of a serialized tensor, which end where it ends; no copy."""
    at = len(proto) - (place.stop - place.at)
    values: Embedding = np.frombuffer(proto, place.dtype, offset=at)
    return values.reshape(place.shape)
