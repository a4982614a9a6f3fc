"""The decode stage: serialized ``tf.train.Example`` records become NumPy tensors.

Two implementations of ``Decoder`` give the same values and verdicts, bit for bit.
"""

import enum
from collections.abc import Sequence
from typing import Protocol

from a20_parquet.errors import UsageError
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.schema import Feature


class DecoderName(enum.StrEnum):
    """What can decode records."""

    TENSORFLOW = "tensorflow"
    WIRE = "wire"


class Decoder(Protocol):
    """Decodes batches of records; one object may serve several threads, and can be pickled."""

    def decode(self, records: Records) -> DecodedRecords:
        """Decode one batch; records that can't be used are in ``rejected``.

        A record can be used if it is a ``tf.train.Example`` with a filename, a timestamp (``float``
        ``timestamp_s`` in seconds or, of older writers, ``int64`` ``timestamp_offset`` in audio
        samples, for which the shard must have a sample rate) and a serialized float32 or float16
        tensor of shape ``(windows, channels, dims)``.

        Embeddings may be views of the payloads, and are good as long as these are; features are
        copies.
        """
        ...


def make_decoder(name: DecoderName | str, features: Sequence[Feature] = ()) -> Decoder:
    """Make a decoder.

    Args:
        name: which one.
        features: further features to decode.

    Raises:
        UsageError: there is none of this name.
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
        RecordError: a record can't be used; the first that can't is named.
    """
    decoded = decoder.decode(records)
    for rejection in decoded.rejected:
        raise records.error(rejection)
    return decoded
