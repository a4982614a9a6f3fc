"""The protobuf messages of a record, without TensorFlow: ``Example`` and ``TensorProto``.

They differ from TensorFlow's own: a feature's name may be any bytes, as for TensorFlow's parser,
and ``TensorProto`` has only the fields that an embedding needs.

Source: tensorflow/core/example/example.proto, feature.proto, tensorflow/core/framework/tensor.proto
and tensor_shape.proto.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final, NamedTuple

_PACKAGE: Final = "a20_parquet"
_FIELDS: Final[dict[str, Sequence[tuple[str, int, str]]]] = {
    "BytesList": [("value", 1, "repeated bytes")],
    "FloatList": [("value", 1, "repeated float")],
    "Int64List": [("value", 1, "repeated int64")],
    "Feature": [
        ("bytes_list", 1, "BytesList"),
        ("float_list", 2, "FloatList"),
        ("int64_list", 3, "Int64List"),
    ],
    # On the wire a map is a list of such entries; the last of one key counts.
    "FeatureEntry": [("key", 1, "bytes"), ("value", 2, "Feature")],
    "Features": [("feature", 1, "repeated FeatureEntry")],
    "Example": [("features", 1, "Features")],
    "Dim": [("size", 1, "int64")],
    "TensorShapeProto": [("dim", 2, "repeated Dim")],
    "TensorProto": [
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShapeProto"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "repeated float"),
        ("half_val", 13, "repeated int32"),
    ],
}


class Messages(NamedTuple):
    """Message classes."""

    example: Any
    tensor: Any
    parts: tuple[Any, ...]
    """Classes of nested messages, kept alive: protobuf makes them on demand, and crashes if one is
    collected while a thread asks for it again."""


_MAKING = Lock()


def load_messages() -> Messages:
    """Make the message classes, once."""
    # Classes that two threads made do not accept each other's messages.
    with _MAKING:
        return _make_messages()


@lru_cache(maxsize=1)
def _make_messages() -> Messages:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "bytes": field_type.TYPE_BYTES,
        "float": field_type.TYPE_FLOAT,
        "int32": field_type.TYPE_INT32,
        "int64": field_type.TYPE_INT64,
    }
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}/record.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        if name == "Feature":
            message.oneof_decl.add(name="kind")
        for field_name, number, kind in fields:
            words = kind.split()
            field = message.field.add(name=field_name, number=number)
            field.label = field_type.LABEL_REPEATED if len(words) > 1 else field_type.LABEL_OPTIONAL
            if words[-1] in scalars:
                field.type = scalars[words[-1]]
            else:
                field.type = field_type.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{words[-1]}"
            if name == "Feature":
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)

    def find(name: str) -> Any:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        return message_factory.GetMessageClass(descriptor)

    return Messages(
        example=find("Example"), tensor=find("TensorProto"), parts=tuple(map(find, _FIELDS))
    )


def parse_message(message: Any, content: bytes) -> Any:
    """Parse a message; None if the content is invalid."""
    from google.protobuf.message import DecodeError

    try:
        return message.FromString(content)
    except DecodeError:
        return None


def packed_floats(message: Any, name: str) -> bytes:
    """Return the little-endian float32 values of a repeated field, bit for bit; clear the others.

    Python's floats do not keep all bits of a NaN.
    """
    count = len(getattr(message, name))
    message.DiscardUnknownFields()
    for field, _ in message.ListFields():
        if field.name != name:
            message.ClearField(field.name)
    # The packed values are the end of the only field left.
    content: bytes = message.SerializeToString()
    return content[len(content) - 4 * count :]
