"""Writes the notebook's files: ``embeddings/NAME.npy`` and ``metadata/NAME.json`` for each shard.

Both are written under hidden names and renamed when the shard is complete. The ``.json`` file is
renamed last: if it exists, its ``.npy`` file is complete too.
"""

import filecmp
import glob
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.notebook.render import count_windows, render_records
from a20_parquet.storage.path import AnyPath
from a20_parquet.windows.records import DecodedRecords

_BUFFER_BYTES = 1 << 20
_DTYPE = "<f4"
_MOST_NAMES = 3
_ONE_D = "Leave the shard out, or have it written with one number of dimensions."


class NpyJsonWriter:
    """Writes the records of one shard, in order.

    Attributes:
        windows: number of windows written.
        left_out: number of records not written, because their filenames cannot be parsed.
        left_out_names: the first few of these filenames.
    """

    def __init__(self, npy: BinaryIO, json: BinaryIO, folder: Path) -> None:
        """Write to two empty files; messages name ``folder``."""
        self.windows = 0
        self.left_out = 0
        self.left_out_names: list[bytes] = []
        self._npy = npy
        self._json = json
        self._folder = folder
        self._dims: int | None = None
        self._header_bytes = 0

    def add(self, decoded: DecodedRecords) -> None:
        """Write channel 0 of a batch of records.

        Raises:
            RecordError: a record has another number of dimensions than those before, or a
                timestamp that is not finite.
            DatasetError: a file cannot be written.
        """
        rendered = render_records(decoded.metadata)
        self.left_out += len(rendered.left_out)
        self.left_out_names = [*self.left_out_names, *rendered.left_out][:_MOST_NAMES]
        if not rendered.windows:
            return
        with _write_errors(self._folder):
            for index in rendered.kept:
                if count_windows(decoded.metadata.shapes[index]):
                    self._put_rows(decoded, index)
            self._json.write(b", " if self.windows else b"[")
            self._json.write(rendered.json.encode())
        self.windows += rendered.windows

    def finish(self) -> None:
        """Write the end of the ``.json`` file and the header of the ``.npy`` file.

        Raises:
            DatasetError: a file cannot be written.
        """
        with _write_errors(self._folder):
            if self._dims is None:
                # The notebook's array of an empty list: float64 of one dimension.
                np.save(self._npy, np.array([]))
                self._json.write(b"[]")
                return
            self._json.write(b"]")
            header = _header(self.windows, self._dims)
            if len(header) != self._header_bytes:
                raise DatasetError(
                    f"NumPy {np.__version__} writes .npy headers whose length depends on the "
                    "number of rows. Install NumPy 1.26 or later."
                )
            self._npy.seek(0)
            self._npy.write(header)

    def _put_rows(self, decoded: DecodedRecords, index: int) -> None:
        dims = decoded.metadata.shapes[index][2]
        if self._dims is None:
            header = _header(0, dims)
            self._npy.write(header)
            self._header_bytes = len(header)
            self._dims = dims
        elif dims != self._dims:
            reason = (
                f"its embedding has {dims} dimensions, expected {self._dims} as in the shard's "
                "records before it"
            )
            raise decoded.metadata.error(index, reason, _ONE_D)
        self._npy.write(np.ascontiguousarray(decoded.embeddings[index][:, 0], _DTYPE).data)


@dataclass(frozen=True, slots=True)
class NpyJsonFolder:
    """The local folder of the notebook's files."""

    root: Path

    @classmethod
    def at(cls, folder: str | Path) -> Self:
        """Parse the path of a local folder, which need not exist.

        Raises:
            UsageError: it is a URL in a store, or a file.
        """
        text = str(folder).removeprefix("file://")
        if "://" in text:
            raise UsageError(f"{folder}: .npy and .json can only be written to a local folder.")
        root = Path(text).expanduser().absolute()
        with _write_errors(root):
            is_file = root.exists() and not root.is_dir()
        if is_file:
            raise UsageError(f"{root} is a file. Name a folder for .npy and .json.")
        return cls(root)

    @property
    def embeddings(self) -> Path:
        """Folder of one ``.npy`` file per shard."""
        return self.root / "embeddings"

    @property
    def metadata(self) -> Path:
        """Folder of one ``.json`` file per shard."""
        return self.root / "metadata"

    def check_outside(self, dataset: AnyPath) -> None:
        """Check that no file would be written into a dataset.

        Raises:
            UsageError: one of the folders is in the dataset.
        """
        if not isinstance(dataset, Path):
            return
        inside = dataset.resolve()
        for folder in (self.root, self.embeddings, self.metadata):
            if folder.resolve().is_relative_to(inside):
                raise UsageError(
                    f"{folder} is in the dataset {dataset}, which contains only its own files. "
                    "Name a folder outside of it for .npy and .json."
                )

    @contextmanager
    def writer(self, name: str, tag: str = "") -> Iterator[NpyJsonWriter]:
        """Lend a writer of one shard's files, which get their names when the body ends.

        After a failure earlier files are unchanged, and no hidden ones are left.

        Args:
            name: name of the files, without suffix.
            tag: part of their hidden names, so that other attempts may write the same files.

        Raises:
            DatasetError: a file cannot be written.
        """
        npy, json = self.embeddings / f"{name}.npy", self.metadata / f"{name}.json"
        with ExitStack() as stack:
            with _write_errors(self.root):
                for path in (npy, json):
                    path.parent.mkdir(parents=True, exist_ok=True)
                npy_file = stack.enter_context(_open_hidden(_hidden(npy, tag)))
                json_file = stack.enter_context(_open_hidden(_hidden(json, tag)))
            writer = NpyJsonWriter(npy_file, json_file, self.root)
            yield writer
            writer.finish()
            with _write_errors(self.root):
                for file in (npy_file, json_file):
                    file.flush()
                    os.fsync(file.fileno())
                    file.close()
                # An older .json file must not be taken for the marker of the new .npy file; one
                # that another attempt has just written must stay.
                if not (
                    tag and json.exists() and filecmp.cmp(_hidden(json, tag), json, shallow=False)
                ):
                    json.unlink(missing_ok=True)
                _hidden(npy, tag).replace(npy)
                _hidden(json, tag).replace(json)

    def remove_hidden(self, name: str) -> None:
        """Remove hidden files of one shard that killed writers have left.

        Raises:
            DatasetError: one cannot be removed.
        """
        with _write_errors(self.root):
            for path in (self.embeddings / f"{name}.npy", self.metadata / f"{name}.json"):
                for hidden in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
                    hidden.unlink(missing_ok=True)


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    """Raise the body's ``OSError`` as a ``DatasetError`` that names the folder."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{folder}: .npy and .json cannot be written: {error}. Mend the cause, or name another "
            "folder."
        ) from error


@contextmanager
def _open_hidden(hidden: Path) -> Iterator[BinaryIO]:
    """Lend a file to write; remove it afterwards unless it was renamed."""
    file = hidden.open("wb", _BUFFER_BYTES)
    try:
        yield file
    finally:
        # Closing may write again what a full disk has refused.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def _hidden(path: Path, tag: str) -> Path:
    return path.with_name(f".{path.name}{tag}.tmp")


def _header(rows: int, dims: int) -> bytes:
    """Header of a ``.npy`` file of shape ``(rows, dims)``.

    NumPy pads it for larger numbers of rows, so it is as long as the header of ``(0, dims)``.
    """
    header = io.BytesIO()
    shape = {"descr": _DTYPE, "fortran_order": False, "shape": (rows, dims)}
    np.lib.format.write_array_header_1_0(header, shape)
    return header.getvalue()
