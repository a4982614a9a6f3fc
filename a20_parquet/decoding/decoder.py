"""The decode stage: serialized ``tf.train.Example`` records become NumPy tensors.

The two implementations of ``Decoder`` return the same values and rejections, bit for bit.
"""

import enum
from collections.abc import Sequence
from typing import Protocol

from a20_parquet.errors import UsageError
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.schema import Feature


class DecoderName(enum.StrEnum):
    """The implementations."""

    TENSORFLOW = "tensorflow"
    WIRE = "wire"


class Decoder(Protocol):
    """Decodes batches of records; can be pickled, and used by several threads."""

    def decode(self, records: Records) -> DecodedRecords:
        """Decode one batch; unusable records are in ``rejected``.

        A record is usable if it is a ``tf.train.Example`` with a filename, a timestamp (``float``
        ``timestamp_s`` in seconds or, of older writers, ``int64`` ``timestamp_offset`` in audio
        samples, for which the shard must have a sample rate) and a serialized float32 or float16
        tensor of shape ``(windows, channels, dims)``.

        Embeddings may be views of the payloads, and are valid only as long as these; features are
        copies.
        """
        ...


def make_decoder(name: DecoderName | str, features: Sequence[Feature] = ()) -> Decoder:
    """Make a decoder, also of further features.

    Raises:
        UsageError: there is no decoder of this name.
    """
    if name not in set(DecoderName):
        raise UsageError(f"--decoder is {name!r}, expected {' or '.join(DecoderName)}")
    if name == DecoderName.WIRE:
        from a20_parquet.decoding.wire import WireDecoder

        return WireDecoder(features)
    from a20_parquet.decoding.tensorflow import TensorFlowDecoder

    return TensorFlowDecoder(features)


def decode_strictly(decoder: Decoder, records: Records) -> DecodedRecords:
    """Decode one batch.

    Raises:
        RecordError: a record cannot be used; the error names the first one.
    """
    decoded = decoder.decode(records)
    for rejection in decoded.rejected:
        raise records.error(rejection)
    return decoded
