"""Serialized ``TensorProto`` messages as NumPy arrays.

Source: tensorflow/core/framework/tensor.proto and tensor_shape.proto.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from a20_parquet.table.decoded import Embedding

_FIELDS = ("dtype", "tensor_shape", "tensor_content", "float_val", "half_val")
_KINDS: dict[int, type[np.float32 | np.float16]] = {1: np.float32, 19: np.float16}
_MAX_TENSOR_BYTES = 2**31 - 1
EMBEDDING_LAYOUTS = ("(windows, channels, dims)", "(windows, dims)")
FEATURE_LAYOUTS = ("(windows, channels, size)", "(windows, size)", "(windows)")
_MOST_FORMS = 4096
_WITHOUT_CHANNELS = 2


class TensorError(Exception):
    """A tensor that is not as expected; the message says why, without its name."""


def with_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """``(windows, channels, dims)`` of an embedding: one of two axes has one channel."""
    return (shape[0], 1, shape[1]) if len(shape) == _WITHOUT_CHANNELS else shape


class _Form(NamedTuple):
    """How writers of TensorFlow lay out a tensor: all small fields, then its content."""

    header: bytes
    """Everything before the content."""
    kind: type[np.float32 | np.float16]
    shape: tuple[int, ...]


class TensorDecoder:
    """Decodes batches of serialized tensors; one object may serve several threads.

    Most tensors share a few forms and differ only in their content, which is then used where it
    lies. TensorFlow takes apart all others.
    """

    def __init__(self, tf: Any, layouts: tuple[str, ...] = EMBEDDING_LAYOUTS) -> None:
        """Prepare to decode.

        Args:
            tf: the module ``tensorflow``.
            layouts: what the axes may be.
        """
        self._tf = tf
        self._layouts = layouts
        self._forms: dict[int, _Form] = {}

    def decode(self, protos: Sequence[bytes]) -> list[Embedding]:
        """Decode tensors.

        Returns:
            Arrays of the shapes that the tensors have, float32 or float16 as stored.

        Raises:
            TensorError: one is no such tensor.
            tensorflow.errors.OpError: one is no ``TensorProto``.
        """
        found = [self._by_form(proto) for proto in protos]
        others = [index for index, tensor in enumerate(found) if tensor is None]
        if others:
            decoded = self._by_fields([protos[index] for index in others])
            for index, tensor in zip(others, decoded, strict=True):
                found[index] = tensor
        return [tensor for tensor in found if tensor is not None]

    def _by_form(self, proto: bytes) -> Embedding | None:
        form = self._forms.get(len(proto))
        if form is None or not proto.startswith(form.header):
            form = self._learn_form(proto)
            if form is None:
                return None
        start = len(form.header)
        values: Embedding = np.frombuffer(proto, form.kind, offset=start)
        return values.reshape(form.shape)

    def _learn_form(self, proto: bytes) -> _Form | None:
        from google.protobuf.message import DecodeError
        from tensorflow.core.framework.tensor_pb2 import TensorProto

        try:
            tensor = TensorProto.FromString(proto)
        except DecodeError:
            return None
        content = len(tensor.tensor_content)
        kind = _KINDS.get(tensor.dtype)
        shape = tuple(int(dim.size) for dim in tensor.tensor_shape.dim)
        if not content or kind is None or not _has_layout(shape, self._layouts):
            return None
        if content != math.prod(shape) * np.dtype(kind).itemsize:
            return None
        small = TensorProto(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape)
        whole = TensorProto(tensor_content=tensor.tensor_content).SerializeToString()
        header = small.SerializeToString() + whole[: len(whole) - content]
        if len(header) + content != len(proto) or not proto.startswith(header):
            return None
        form = _Form(header, kind, shape)
        if len(self._forms) >= _MOST_FORMS:
            self._forms.clear()
        self._forms[len(proto)] = form
        return form

    def _by_fields(self, protos: Sequence[bytes]) -> list[Embedding]:
        tf = self._tf
        counts, (dtype, shape, content, floats, halves) = tf.io.decode_proto(
            tf.constant(protos, tf.string),
            "tensorflow.TensorProto",
            _FIELDS,
            [tf.int32, tf.string, tf.string, tf.float32, tf.int32],
        )
        columns = (dtype[:, 0], shape[:, 0], content[:, 0], floats, halves, counts[:, 3:])
        rows = zip(*(column.numpy() for column in columns), strict=True)
        return [_to_array(_TensorFields(*row), self._layouts) for row in rows]


class _TensorFields(NamedTuple):
    """The fields of one ``TensorProto``; repeated ones are padded to the batch's longest."""

    dtype: int
    shape: bytes
    content: bytes
    floats: npt.NDArray[np.float32]
    halves: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    """How many of ``floats`` and ``halves`` there are."""


def _to_array(proto: _TensorFields, layouts: tuple[str, ...]) -> Embedding:
    kind = _KINDS.get(proto.dtype)
    if kind is None:
        raise TensorError(
            f"its dtype is number {proto.dtype} of TensorFlow's DataType, expected 1 "
            "(float32) or 19 (float16)"
        )
    shape = _tensor_shape(proto.shape, layouts)
    values: npt.NDArray[Any]
    if kind is np.float32:
        values = proto.floats[: proto.counts[0]]
    else:
        values = proto.halves[: proto.counts[1]].astype(np.uint16).view(np.float16)
    expected = math.prod(shape)
    if proto.content:
        if len(proto.content) != expected * np.dtype(kind).itemsize:
            raise TensorError(
                f"its content has {len(proto.content)} bytes, which do not fill shape "
                f"{shape} of {np.dtype(kind)}"
            )
        values = np.frombuffer(proto.content, kind)
        return values.reshape(shape)
    if len(values) > expected:
        raise TensorError(f"it has {len(values)} values, more than fill shape {shape}")
    if expected * np.dtype(kind).itemsize > _MAX_TENSOR_BYTES:
        raise TensorError(
            f"its shape {shape} needs more bytes than a protobuf may hold, but it has "
            f"only {len(values)} values"
        )
    # The format leaves out values that repeat the last one, or all of them where they are zero.
    filled = np.zeros(expected, kind)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else 0
    padded: Embedding = filled.reshape(shape)
    return padded


@lru_cache(maxsize=256)
def _tensor_shape(shape_proto: bytes, layouts: tuple[str, ...]) -> tuple[int, ...]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

    try:
        proto = TensorShapeProto.FromString(shape_proto)
    except DecodeError:
        raise TensorError("its shape can't be parsed") from None
    shape = tuple(int(dim.size) for dim in proto.dim)
    if not _has_layout(shape, layouts):
        raise TensorError(f"its shape is {shape}, expected {' or '.join(layouts)}")
    return shape


def _has_layout(shape: tuple[int, ...], layouts: tuple[str, ...]) -> bool:
    ranks = {len(layout.split(",")) for layout in layouts}
    return len(shape) in ranks and min(shape) >= 0 and shape[1:][-1:] != (0,)
