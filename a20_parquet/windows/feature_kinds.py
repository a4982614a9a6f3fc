"""How records hold a further feature, and what its values belong to."""

import enum


class FeatureKind(enum.StrEnum):
    """How records hold a feature, which decides its column's type."""

    TENSOR = "tensor"
    """One serialized ``TensorProto`` of float32 or float16, shape ``(windows, channels, size)``,
    ``(windows, size)`` or ``(windows)``, as Perch writes logits:
    ``fixed_size_list<float32>[size]``."""
    FLOAT = "float"
    """A ``float_list``: ``float32``, or ``fixed_size_list<float32>[size]``."""
    INT64 = "int64"
    """An ``int64_list``: ``int64``, or ``fixed_size_list<int64>[size]``."""
    STRING = "string"
    """A ``bytes_list`` of UTF-8 texts: ``string``."""
    BINARY = "binary"
    """A ``bytes_list`` of anything else: ``binary``."""

    @property
    def is_text(self) -> bool:
        """Whether values have any number of bytes."""
        return self in {FeatureKind.STRING, FeatureKind.BINARY}


class FeatureScope(enum.StrEnum):
    """What the values of a record's feature belong to, in the order of the embedding's axes."""

    RECORD = "record"
    """The record has one value (or ``size`` values), which all its windows repeat."""
    WINDOW = "window"
    """Each window has its own, which its channels repeat."""
    CHANNEL = "channel"
    """Each channel of each window has its own."""
