"""Reasons why records or bytes of a shard cannot be converted."""

import enum
from dataclasses import dataclass


class Reason(enum.StrEnum):
    """Why a record or range of bytes went to quarantine."""

    BAD_LENGTH = "bad_length"
    BAD_PAYLOAD = "bad_payload"
    TRUNCATED = "truncated"
    BAD_STREAM = "bad_stream"
    NOT_AN_EXAMPLE = "not_an_example"
    BAD_FEATURE = "bad_feature"
    BAD_TENSOR = "bad_tensor"
    WRONG_DIMS = "wrong_dims"
    TOO_LARGE = "too_large"
    BAD_TIMESTAMP = "bad_timestamp"
    NO_SAMPLE_RATE = "no_sample_rate"
    BAD_FILENAME = "bad_filename"

    @property
    def is_damage(self) -> bool:
        """Whether bytes are damaged; else an intact record cannot be converted."""
        return self in _DAMAGE

    @property
    def meaning(self) -> str:
        """The reason in words."""
        return _MEANINGS[self]

    @property
    def fix(self) -> str:
        """What the user can do."""
        return _FIXES[self]


_DAMAGE = {Reason.BAD_LENGTH, Reason.BAD_PAYLOAD, Reason.TRUNCATED, Reason.BAD_STREAM}
_MEANINGS = {
    Reason.BAD_LENGTH: "a frame's length and its checksum do not agree",
    Reason.BAD_PAYLOAD: "a frame's payload and its checksum do not agree",
    Reason.TRUNCATED: "the shard ends inside a frame",
    Reason.BAD_STREAM: "the shard's GZIP or ZLIB stream is damaged or cut",
    Reason.NOT_AN_EXAMPLE: "the payload is no tf.train.Example",
    Reason.BAD_FEATURE: "a feature is missing, of another kind, or has another number of values",
    Reason.BAD_TENSOR: "a tensor is not float32 or float16 of shape [T, C, D] or [T, D]",
    Reason.WRONG_DIMS: "the embedding has another number of floats than the dataset's",
    Reason.TOO_LARGE: "a value of the embedding is larger than a float16 can hold",
    Reason.BAD_TIMESTAMP: "timestamp_s is no usable number of seconds",
    Reason.NO_SAMPLE_RATE: "timestamp_offset is in audio samples, and nothing tells their rate",
    Reason.BAD_FILENAME: "the filename does not tell what the dataset needs",
}
_REWRITE = "Leave the shard out, or have the record written again."
_FETCH = "The shard is damaged here: fetch it again, or leave it out."
_FIXES = {reason: _FETCH if reason in _DAMAGE else _REWRITE for reason in Reason} | {
    Reason.BAD_FEATURE: "Leave the shard or that --feature out, or have the record written again.",
    Reason.WRONG_DIMS: "Convert shards of different dimensions into separate datasets.",
    Reason.TOO_LARGE: "Convert into a dataset without --store float16.",
    Reason.NO_SAMPLE_RATE: "Give --sample-rate, or put Perch's config.json beside the shard.",
    Reason.BAD_FILENAME: "Give --filename-pattern or --unknown-site, or leave the shard out.",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """An intact record that cannot be converted."""

    number: int
    """The record's number in its shard, from 0."""
    reason: Reason
    message: str
    """What was found and what was expected."""
