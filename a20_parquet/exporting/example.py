"""Serializes ``tf.train.Example`` messages as Perch writes them, features sorted by name.

Source: tensorflow/core/example/example.proto and feature.proto, framework/tensor.proto.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Part = bytes | memoryview
Parts = list[Part]
"""A serialized message in parts, which are written one after another."""

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_VARINT, _LENGTH = 0, 2
_DTYPES: Final = {np.dtype(np.float32): 1, np.dtype(np.float16): 19}
"""TensorFlow's numbers of types."""


def example(features: Mapping[str, Parts]) -> Parts:
    """Return an ``Example`` of serialized ``Feature`` messages."""
    entries: Parts = []
    for name in sorted(features):
        entries += _field(1, [*_field(1, [name.encode()]), *_field(2, features[name])])
    return _field(1, entries)


def bytes_feature(values: Sequence[Parts]) -> Parts:
    """Return a ``Feature`` of byte strings."""
    return _field(_BYTES_LIST, [part for value in values for part in _field(1, value)])


def float_feature(values: npt.NDArray[np.float32]) -> Parts:
    """Return a ``Feature`` of floats."""
    content = np.ascontiguousarray(values, "<f4").tobytes()
    return _field(_FLOAT_LIST, _field(1, [content]))


def int64_feature(values: Sequence[int]) -> Parts:
    """Return a ``Feature`` of integers."""
    # Negative numbers are written as their two's complement of 64 bits.
    content = b"".join(_varint(value & ((1 << 64) - 1)) for value in values)
    return _field(_INT64_LIST, _field(1, [content]))


def tensor(values: npt.NDArray[Any]) -> Parts:
    """Return a ``TensorProto`` of float32 or float16 values, as ``tf.io.serialize_tensor`` does."""
    dims: Parts = []
    for size in values.shape:
        dims += _field(2, [_key(1, _VARINT), _varint(size)] if size else [])
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    content = _field(4, [little.reshape(-1).view(np.uint8).data]) if little.size else []
    return [_key(1, _VARINT), _varint(_DTYPES[values.dtype]), *_field(2, dims), *content]


def _field(number: int, content: Parts) -> Parts:
    return [_key(number, _LENGTH), _varint(sum(map(len, content))), *content]


def _key(number: int, kind: int) -> bytes:
    return bytes((number << 3 | kind,))


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
