"""The decode stage with TensorFlow.

TensorFlow parses whole batches. Embeddings are views of the bytes that it copied from each record.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise, repeat
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.decoding.batch import DecodedRecord, per_row, per_window
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
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.decoding.wire_form import FormDecoder, RecordForm, TensorSpan
from a20_parquet.decoding.wire_lists import ListSpan
from a20_parquet.tfrecord.records import Buffer
from a20_parquet.windows.records import Embedding, FeatureValues
from a20_parquet.windows.schema import Feature, FeatureKind

_LOGGER = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def load_tensorflow() -> ModuleType:
    """Import TensorFlow without start-up messages, Keras and GPUs.

    If it is imported already, it is left as it is.
    """
    if "tensorflow" in sys.modules:
        return import_module("tensorflow")
    with _silenced_stderr(), _variable("TF_CPP_MIN_LOG_LEVEL", "3"):
        # Keras takes a sixth of the import, with pandas, matplotlib and IPython, which it loads if
        # installed, more than a third. With this variable TensorFlow looks for tf_keras instead,
        # and loads nothing if there is none. ``tf.keras`` reads it again at its first use.
        has_tf_keras = find_spec("tf_keras") is not None
        without_keras = nullcontext() if has_tf_keras else _variable("TF_USE_LEGACY_KERAS", "1")
        with without_keras, _without_collecting():
            tf = import_module("tensorflow")
        # CUDA_VISIBLE_DEVICES would hide GPUs from everything else in this process.
        with suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return tf


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    # TensorFlow's C++ code writes to the file descriptor before it reads a log level.
    try:
        kept = os.dup(2)
    except OSError:  # no stderr
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
    """Set an environment variable while the body runs, unless the user has set it."""
    is_set = name in os.environ
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if not is_set:
            os.environ.pop(name, None)


@contextmanager
def _without_collecting() -> Iterator[None]:
    # Imported objects stay: searching them for garbage takes a sixth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_Lists = dict[str, list[FeatureValues | None]]
"""The lists of further features, one per record; None if it has no value."""


def _batch_parser(
    tf: Any, features: Sequence[Feature]
) -> Callable[[Any], tuple[list[Any], _Lists]]:
    """Return a function that parses serialized records.

    It returns for each single value, of known features and then of tensors, an array with one item
    per record, and the lists.
    """
    # ``tf.io.parse_example`` takes 2 ms to call this operation, a ``tf.function`` of it 0.5 ms.
    string, int64 = tf.string, tf.int64
    nothing = tf.constant([], string)
    tensors = [feature.name for feature in features if feature.kind is FeatureKind.TENSOR]
    lists = {feature.name: feature.kind for feature in features if feature.name not in tensors}
    types = {BYTES_LIST: string, FLOAT_LIST: tf.float32, INT64_LIST: int64}
    # An empty default means that each record must have the feature.
    defaults = {
        TIMESTAMP: tf.constant([], tf.float32),
        FILENAME: nothing,
        EMBEDDING: nothing,
        **{name: tf.constant("", string) for name in tensors},
    }
    keys = tf.constant(list(defaults), string)
    ragged_keys = tf.constant(list(lists), string)

    def parse(payloads: Any) -> tuple[list[Any], _Lists]:
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
        divided = {name: _divided(values.numpy(), splits.numpy()) for name, values, splits in found}
        return [tensor.numpy() for tensor in parsed.dense_values], divided

    return parse


def _divided(values: FeatureValues, splits: npt.NDArray[np.int64]) -> list[FeatureValues | None]:
    bounds = pairwise(splits.tolist())
    return [values[first:stop] if first < stop else None for first, stop in bounds]


class TensorFlowDecoder(FormDecoder):
    """Decodes batches of records; several threads may use one object.

    TensorFlow parses a batch at once. It gets no record that it could refuse: protobuf decodes
    records of unknown form (see ``wire_form``). So a result does not depend on other records, and
    TensorFlow raises no errors, which can deadlock when two threads raise them at once.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        super().__init__(features)
        self._tf: Any = load_tensorflow()
        self._parse = _batch_parser(self._tf, self._wanted)

    def _decode_known(self, payloads: Sequence[Buffer]) -> list[DecodedRecord | None]:
        found: list[DecodedRecord | None] = [None] * len(payloads)
        contents = list(map(bytes, payloads))
        known = [
            (index, form)
            for index, content in enumerate(contents)
            if (form := self._known_form(content)) is not None
        ]
        if not known:
            return found
        try:
            single, lists = self._parse(
                self._tf.constant([contents[index] for index, _ in known], self._tf.string)
            )
        except self._tf.errors.OpError:
            # No record is known that leads here.
            _LOGGER.exception("TensorFlow refuses records of known forms")
            return found
        stamps, filenames, protos, *tensors = (column.tolist() for column in single)
        dense = iter(tensors)
        further = [
            next(dense) if feature.kind is FeatureKind.TENSOR else lists[feature.name]
            for feature in self._wanted
        ]
        rows = zip(*further, strict=True) if further else repeat(())
        values = zip(filenames, stamps, protos, rows, strict=False)
        for (index, form), row in zip(known, values, strict=True):
            record = self._record(form, *row)
            if record is not None:
                first, stop = form.embedding.at, form.embedding.stop
                # Where they are stored counts only if TensorFlow has found the same floats.
                is_same = row[2].endswith(contents[index][first:stop])
                record = record._replace(floats_at=first if is_same else None)
            found[index] = record
        return found

    def _known_form(self, payload: bytes) -> RecordForm | None:
        """Return the form of a record that TensorFlow is certain to parse, else None."""
        form = self._find_form(payload)
        for span in form.features if form is not None else ():
            if isinstance(span, ListSpan) and span.read(payload) is None:
                return None
        return form

    def _record(
        self,
        form: RecordForm,
        filename: bytes,
        timestamp_s: float,
        proto: bytes,
        further: Sequence[bytes | FeatureValues | None],
    ) -> DecodedRecord | None:
        if not abs(timestamp_s) <= MAX_TIMESTAMP_S:
            return None
        embedding = _floats(proto, form.embedding)
        try:
            features = tuple(
                _further(feature, span, found, embedding)
                for feature, span, found in zip(self._wanted, form.features, further, strict=True)
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
            None,
        )


def _further(
    feature: Feature,
    span: TensorSpan | ListSpan | None,
    found: bytes | FeatureValues | None,
    embedding: Embedding,
) -> FeatureValues | None:
    """The values of a further feature; None if the record lacks it.

    Raises:
        TensorError: they do not fit their column.
    """
    if isinstance(found, bytes):
        if isinstance(span, TensorSpan):
            return per_window(_floats(found, span), embedding)
        return None
    return None if found is None else per_row(found, feature, embedding)


def _floats(proto: bytes, span: TensorSpan) -> Embedding:
    """A view of the floats of a serialized tensor; they are its last bytes."""
    at = len(proto) - (span.stop - span.at)
    values: Embedding = np.frombuffer(proto, span.dtype, offset=at)
    return values.reshape(span.shape)
