"""Serialized ``TensorProto`` messages as NumPy arrays.

Source: tensorflow/core/framework/tensor.proto and tensor_shape.proto.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.decoding.messages import load_messages, packed_floats, parse_message
from a20_parquet.windows.records import Embedding

_KINDS: dict[int, type[np.float32 | np.float16]] = {1: np.float32, 19: np.float16}
_MAX_TENSOR_BYTES = 2**31 - 1
_MOST_REPEATED_ROWS = 1 << 16
"""Most windows times channels (91 hours of 5 s) of a tensor whose last value is repeated: a few
bytes could claim any number."""
# No known writer repeats the last of several values. The bounds limit the memory of a batch.
_MOST_FILLED, _MOST_FILLED_TIMES = 1024, 16
EMBEDDING_LAYOUTS = ("(windows, channels, dims)", "(windows, dims)")
FEATURE_LAYOUTS = ("(windows, channels, size)", "(windows, size)", "(windows)")
_WITHOUT_CHANNELS = 2


class TensorError(Exception):
    """A tensor is not as expected; the message gives the reason without its name."""


class NoTensorError(TensorError):
    """The bytes are not a serialized tensor."""


def with_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """``(windows, channels, dims)`` of an embedding; with two axes it has one channel."""
    return (shape[0], 1, shape[1]) if len(shape) == _WITHOUT_CHANNELS else shape


def decode_tensor(content: bytes, layouts: tuple[str, ...] = EMBEDDING_LAYOUTS) -> Embedding:
    """Decode a ``TensorProto`` with one of the accepted layouts.

    Returns:
        An array of the tensor's shape, float32 or float16 as stored.

    Raises:
        TensorError: the bytes are not a ``TensorProto``, or not a tensor of this kind.
    """
    proto = parse_message(load_messages().tensor, content)
    if proto is None:
        raise NoTensorError
    kind = _KINDS.get(proto.dtype)
    if kind is None:
        raise TensorError(
            f"its dtype is number {proto.dtype} of TensorFlow's DataType, expected 1 "
            "(float32) or 19 (float16)"
        )
    shape = tuple(int(dim.size) for dim in proto.tensor_shape.dim)
    ranks = {len(layout.split(",")) for layout in layouts}
    if len(shape) not in ranks or min(shape) < 0 or shape[1:][-1:] == (0,):
        raise TensorError(f"its shape is {shape}, expected {' or '.join(layouts)}")
    content = proto.tensor_content
    values: npt.NDArray[Any]
    if kind is np.float32:
        values = np.frombuffer(packed_floats(proto, "float_val"), "<f4")
    else:
        values = np.array(proto.half_val, np.int32).astype(np.uint16).view(np.float16)
    expected = math.prod(shape)
    if content:
        if len(content) != expected * np.dtype(kind).itemsize:
            raise TensorError(
                f"its content has {len(content)} bytes, which do not fill shape "
                f"{shape} of {np.dtype(kind)}"
            )
        values = np.frombuffer(content, kind)
        return values.reshape(shape)
    return _repeat_last(values, shape)


def _repeat_last(values: npt.NDArray[Any], shape: tuple[int, ...]) -> Embedding:
    """Fill a shape: the format omits values that repeat the last one, or zeros."""
    kind, expected = values.dtype, math.prod(shape)
    if len(values) > expected:
        raise TensorError(f"it has {len(values)} values, more than fill shape {shape}")
    if expected * kind.itemsize > _MAX_TENSOR_BYTES:
        raise TensorError(
            f"its shape {shape} needs more bytes than a protobuf may hold, but it has "
            f"only {len(values)} values"
        )
    if len(values) < expected and math.prod(shape[:-1]) > _MOST_REPEATED_ROWS:
        raise TensorError(
            f"its shape {shape} has more than {_MOST_REPEATED_ROWS:,} windows and channels, but "
            f"it has only {len(values)} values"
        )
    if len(values) <= 1:
        # A view: a batch may have many such tensors of a few bytes each.
        same: Embedding = np.broadcast_to(values[:1] if len(values) else np.zeros(1, kind), shape)
        return same
    if expected > max(_MOST_FILLED, _MOST_FILLED_TIMES * len(values)):
        raise TensorError(
            f"its shape {shape} needs {expected:,} values, but it has only {len(values)}: the last "
            f"of several may fill {_MOST_FILLED_TIMES} times as many"
        )
    filled = np.empty(expected, kind)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1]
    padded: Embedding = filled.reshape(shape)
    return padded
