"""Writes the notebook's ``.npy`` and ``.json`` files, one pair per shard, without a dataset."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Self

from a20_parquet.checks import count_workers
from a20_parquet.decoding.decoder import DecoderName, decode_strictly, make_decoder
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.notebook.files import NpyJsonFolder, NpyJsonWriter
from a20_parquet.notebook.render import WINDOW_S, name_outputs
from a20_parquet.progress import ProgressOption, open_progress
from a20_parquet.shards.discover import PassedOver, find_shards
from a20_parquet.shards.perch_config import check_sample_rate, read_configs
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import BATCH_BYTES, FrameReader
from a20_parquet.tfrecord.records import strict
from a20_parquet.tfrecord.shard import Shard

_MOST_LEFT_OUT_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookFiles:
    """Result of ``npy_json``."""

    folder: Path
    """Contains ``embeddings/NAME.npy`` and ``metadata/NAME.json`` for each shard."""
    shards: int
    records: int
    """All records of the shards."""
    windows: int
    """Rows of all ``.npy`` files."""
    left_out: int
    """Records that are in no file, because their filenames cannot be parsed."""
    left_out_names: tuple[str, ...]
    """The first few of these filenames."""
    renamed: tuple[str, ...]
    """A message for each file name that several shards would have shared."""
    source_bytes: int
    """Stored size of all shards."""
    seconds: float
    """Wall time."""
    passed_over: tuple[PassedOver, ...]
    """Files of the sources that are not shards."""
    warnings: tuple[str, ...]
    """Shards that seem to be missing, and options that contradict Perch's ``config.json``."""


@dataclass(frozen=True, slots=True)
class NotebookOutput:
    """Folder and names of the shards' files."""

    folder: NpyJsonFolder
    names: Mapping[str, str]
    """Name of the files of each shard, by its URL; without suffix."""
    renamed: tuple[str, ...]
    """A message for each name that several shards would have shared."""

    @classmethod
    def plan(cls, folder: NpyJsonFolder, shards: Sequence[Shard]) -> Self:
        """Choose the names of the shards' files."""
        labels = [shard.label for shard in shards]
        names, renamed = name_outputs([shard.path.rpartition("/")[2] for shard in shards], labels)
        return cls(
            folder, dict(zip((shard.url for shard in shards), names, strict=True)), tuple(renamed)
        )

    def writer(self, shard: Shard, tag: str = "") -> AbstractContextManager[NpyJsonWriter]:
        """See ``NpyJsonFolder.writer``."""
        return self.folder.writer(self.names[shard.url], tag)

    def remove_hidden(self, shard: Shard) -> None:
        """See ``NpyJsonFolder.remove_hidden``."""
        self.folder.remove_hidden(self.names[shard.url])


def hop_remarks(hops_s: Iterable[float | None]) -> Iterator[str]:
    """Yield a message for each hop other than the notebook's only one."""
    for hop_s in sorted({hop_s for hop_s in hops_s if hop_s is not None}):
        if hop_s != WINDOW_S:
            yield (
                f"the notebook's files take windows to start {WINDOW_S} s apart, and these start "
                f"{hop_s:g} s apart: in metadata/ recording_offset_in_file is wrong"
            )


def npy_json(  # noqa: PLR0913 - options, each named
    sources: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    sample_rate: float | None = None,
    workers: int | None = None,
    decoder: DecoderName | str = DecoderName.TENSORFLOW,
    progress: ProgressOption = None,
) -> NotebookFiles:
    """Write the notebook's files of shards.

    Each shard gets ``folder/embeddings/NAME.npy``, float32 of shape ``(windows, dims)`` with
    channel 0 of each window, and ``folder/metadata/NAME.json``, a list with one object per window,
    byte for byte as the notebook wrote them. Existing files are replaced.

    Args:
        sources: folders, files, globs or fsspec URLs.
        folder: a local folder; created if it does not exist.
        sample_rate: sample rate of the recordings in Hz, for records with a ``timestamp_offset`` in
            samples; by default from Perch's ``config.json`` beside the shards.
        workers: threads, each for one shard at a time; by default the cores that this process may
            use.
        decoder: ``tensorflow`` or ``wire``, which is faster and has the same results.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: ``folder`` is a file or a URL, ``workers`` is less than 1, ``sample_rate`` is
            not a frequency, or there is no such decoder.
        SourceError: shards cannot be found or read.
        RecordError: a shard is damaged, or a record's embedding or timestamp cannot be used.
        DatasetError: the folder cannot be written. After any error, files under their final names
            are complete.
    """
    with open_progress(progress) as shown:
        started = time.monotonic()
        pool = ThreadPool(count_workers(workers))
        check_sample_rate(sample_rate)
        target = NpyJsonFolder.at(folder)
        listing = read_configs(find_shards(sources), sample_rate)
        output = NotebookOutput.plan(target, listing.shards)
        hops = hop_remarks(shard.hop_s for shard in listing.shards)
        for line in (*listing.missing, *listing.remarks, *output.renamed, *hops):
            shown.say(line)
        chosen = make_decoder(decoder)
        shown.start("reading shards", listing.bytes)
        advance = pool.checked(shown.advance)

        def write(shard: Shard) -> tuple[int, int, NpyJsonWriter]:
            with output.writer(shard) as writer, open_content(shard) as content:
                reader = FrameReader(shard, content, BATCH_BYTES)
                for records in strict(reader.read(advance)):
                    writer.add(decode_strictly(chosen, records))
            return shard.position, reader.records, writer

        written = sorted(pool.map(write, listing.shards), key=itemgetter(0))
    writers = [writer for _, _, writer in written]
    names = chain.from_iterable(writer.left_out_names for writer in writers)
    return NotebookFiles(
        folder=target.root,
        shards=len(written),
        records=sum(records for _, records, _ in written),
        windows=sum(writer.windows for writer in writers),
        left_out=sum(writer.left_out for writer in writers),
        left_out_names=tuple(
            name.decode(errors="backslashreplace") for name in islice(names, _MOST_LEFT_OUT_NAMES)
        ),
        renamed=output.renamed,
        source_bytes=listing.bytes,
        seconds=time.monotonic() - started,
        passed_over=listing.passed_over,
        warnings=(*listing.missing, *listing.remarks),
    )
