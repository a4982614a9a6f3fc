"""The notebook's files, byte for byte, alone and beside a dataset."""

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a20_parquet
from a20_parquet.cli import main as cli
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import RecordError, UsageError
from tests.helpers import notebook
from tests.helpers.conversions import use_tiny_memory
from tests.helpers.notebook import pairs
from tests.helpers.progress import Said
from tests.helpers.shards import (
    FILENAME,
    frame,
    make_record,
    random_tensor,
    write_content,
    write_shard,
)

NAMES = [
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "audio/site_0012/20190228T123831Z_A---B-Wet-A_1.flac",
    "site_0379/20191015T235900+1100_Birdsville-Track-A-Wet-B_7846.flac",
    "site_0012/20190228T123831+0000_Caf\u00e9-Dry-B_3.flac",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards as the notebook takes them: lengths, channels and fractions of seconds vary."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(3)
    for shard in range(3):
        records = [
            make_record(
                random_tensor((int(rng.integers(0, 13)), int(rng.choice([1, 5])), 16), number),
                NAMES[int(rng.integers(len(NAMES)))],
                float(rng.choice([0.0, -0.0, 0.5, 5.75, 60.0, 6480.0, 0.99999994, -7.5])),
            )
            for number in range(40)
        ]
        write_shard(folder / f"embeddings-{shard:05d}-of-00004", records)
    write_shard(folder / "embeddings-00003-of-00004", [])
    return folder


@pytest.fixture(scope="module")
def expected(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a loop like the notebook's writes of these shards."""
    folder = tmp_path_factory.mktemp("notebook")
    for shard in sorted(shards.iterdir()):
        notebook.convert(shard, folder)
    return pairs(folder)


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"decoder": "wire"}])
@pytest.mark.parametrize("batch_bytes", [1, None])
def test_real_shards_give_the_notebooks_bytes(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    batch_bytes: int | None,
) -> None:
    """Every file that the notebook wrote, and no other."""
    if batch_bytes:
        module = importlib.import_module("a20_parquet.notebook.npy_json")
        monkeypatch.setattr(module, "BATCH_BYTES", batch_bytes)
    shards = real_data / "notebook" / "shards"
    files = a20_parquet.npy_json(shards, tmp_path / "out", **options)
    written = pairs(real_data / "notebook")
    assert pairs(tmp_path / "out") == {
        name: content for name, content in written.items() if not name.startswith("shards/")
    }
    assert (files.shards, files.windows, files.left_out) == (4, 101, 0)


def test_convert_gives_the_notebooks_bytes(real_data: Path, tmp_path: Path) -> None:
    """For the shards that can be a dataset, beside the same dataset as without."""
    shards = real_data / "notebook" / "shards" / "embeddings-0000[012]*"
    conversion = a20_parquet.convert(shards, tmp_path / "out", npy_json=tmp_path / "npy-json")
    assert conversion.npy_json == tmp_path / "npy-json"
    written = pairs(real_data / "notebook")
    assert pairs(tmp_path / "npy-json") == {
        name: content
        for name, content in written.items()
        if not name.startswith("shards/") and "00003-of" not in name
    }
    a20_parquet.convert(shards, tmp_path / "without")
    assert pairs(tmp_path / "out") == pairs(tmp_path / "without")


@pytest.mark.parametrize("decoder", DecoderName)
@pytest.mark.parametrize("workers", [1, 2])
def test_files_are_those_of_the_notebooks_loop(
    shards: Path, expected: dict[str, bytes], tmp_path: Path, workers: int, decoder: DecoderName
) -> None:
    """A loop over single records with TensorFlow, NumPy and json writes the same."""
    files = a20_parquet.npy_json(shards, tmp_path / "out", workers=workers, decoder=decoder)
    assert pairs(tmp_path / "out") == expected
    assert (files.shards, files.records, files.left_out) == (4, 120, 0)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["1GiB", "10MB", None])
def test_convert_writes_them_in_its_first_pass(
    shards: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: str | None,
) -> None:
    """In memory, with runs on disk and with the tiniest batches."""
    if memory is None:
        use_tiny_memory(monkeypatch)
    a20_parquet.convert(
        shards,
        tmp_path / "out",
        npy_json=str(tmp_path / "npy-json"),
        workers=2,
        memory=memory or "1GiB",
        window_seconds=7.5,
        row_group_rows=50,
    )
    assert pairs(tmp_path / "npy-json") == expected


def test_float16_is_widened(tmp_path: Path) -> None:
    """The notebook could not read it; the values are those of the shard."""
    tensor = random_tensor((12, 1, 16), 0, np.float16)
    write_shard(tmp_path / "in" / "a.tfrecord", [make_record(tensor)], "GZIP")
    a20_parquet.npy_json(tmp_path / "in", tmp_path / "out")
    rows = np.load(tmp_path / "out" / "embeddings" / "a.npy")
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, tensor[:, 0].astype(np.float32))


def test_records_that_nothing_can_read_are_counted(tmp_path: Path) -> None:
    """They are in neither file; what only this program reads is there with nulls."""
    names: list[str | bytes] = [
        "tests/100sec.wav",
        b"\xff.flac",
        "20201014T010000-0330_Site-3_7.wav",
        FILENAME,
    ]
    records = [make_record(random_tensor((2, 1, 8), i), name) for i, name in enumerate(names)]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    files = a20_parquet.npy_json(tmp_path / "in", tmp_path / "out")
    assert (files.records, files.windows, files.left_out) == (4, 4, 2)
    assert files.left_out_names == ("tests/100sec.wav", "\\xff.flac")
    objects = json.loads((tmp_path / "out" / "metadata" / "a-00000-of-00001.json").read_text())
    assert [item["site_id"] for item in objects] == [None, None, "0285", "0285"]
    assert [item["subsite_name"] for item in objects] == [None, None, "Dry-A", "Dry-A"]
    assert objects[0]["file_seconds_since_midnight"] == 3600


def test_shards_that_would_share_a_name(tmp_path: Path) -> None:
    """They take their labels, and a line says so, in both commands."""
    for name in ("x/a.tfrecord", "y/a.tfrecord", "b.c-00000-of-00002", "b.c-00001-of-00002", "d.e"):
        write_shard(tmp_path / "in" / name, [make_record(random_tensor((1, 1, 8)))])
    files = a20_parquet.npy_json(tmp_path / "in", tmp_path / "out")
    stems = {"x__a.tfrecord", "y__a.tfrecord", "b.c-00000-of-00002", "b.c-00001-of-00002", "d"}
    expected = {f"embeddings/{stem}.npy" for stem in stems}
    expected |= {f"metadata/{stem}.json" for stem in stems}
    assert pairs(tmp_path / "out").keys() == expected
    assert len(files.renamed) == 2
    said = Said()
    a20_parquet.convert(tmp_path / "in", tmp_path / "d", npy_json=tmp_path / "2", progress=said)
    assert pairs(tmp_path / "2") == pairs(tmp_path / "out")
    assert [line for line in said.lines if "whole label" in line] == list(files.renamed)


def write_beside(shards: Path, folder: Path) -> None:
    """Write them beside a dataset, and stop at what cannot be converted."""
    dataset = folder.with_name("dataset")
    a20_parquet.convert(shards, dataset, npy_json=folder, on_error="fail")


@pytest.mark.parametrize("beside", [False, True])
def test_damage_leaves_no_half_file(tmp_path: Path, *, beside: bool) -> None:
    """What was whole before the damage may stay; nothing else does."""
    good = make_record(random_tensor((3, 1, 8)))
    write_shard(tmp_path / "in" / "a-00000-of-00002", [good])
    content = frame(good) + frame(good)[:-1] + bytes([frame(good)[-1] ^ 1])
    write_content(tmp_path / "in" / "a-00001-of-00002", content)
    out = tmp_path / "out"
    with pytest.raises(RecordError, match="record 1 "):
        (write_beside if beside else a20_parquet.npy_json)(tmp_path / "in", out)
    assert pairs(out).keys() <= {
        "embeddings/a-00000-of-00002.npy",
        "metadata/a-00000-of-00002.json",
    }


def test_damage_beside_a_dataset(tmp_path: Path) -> None:
    """Whole records of a damaged shard are in its files, as they are in the dataset."""
    good = make_record(random_tensor((3, 1, 8)))
    write_shard(tmp_path / "whole" / "a.tfrecord", [good, good])
    bad = frame(good)[:-1] + bytes([frame(good)[-1] ^ 1])
    write_content(tmp_path / "in" / "a.tfrecord", frame(good) + bad + frame(good))
    a20_parquet.npy_json(tmp_path / "whole", tmp_path / "expected")
    a20_parquet.convert(tmp_path / "in", tmp_path / "dataset", npy_json=tmp_path / "out")
    assert pairs(tmp_path / "out") == pairs(tmp_path / "expected")


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_file(
    shards: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Only hidden temporaries are left, and the next run gives the right bytes."""
    out = tmp_path / "out"
    code = (
        "import sys, time\n"
        "import a20_parquet\n"
        "from a20_parquet.notebook import files\n"
        "def stop(self):\n"
        "    self._npy.flush()\n"
        "    sys.stdout.write('written\\n')\n"
        "    sys.stdout.flush()\n"
        "    time.sleep(60)\n"
        "files.NpyJsonWriter.finish = stop\n"
        "a20_parquet.npy_json(sys.argv[1], sys.argv[2], workers=2)\n"
    )
    arguments = [sys.executable, "-c", code, str(shards), str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"written")
        process.send_signal(signal.SIGKILL)
    left = pairs(out)
    assert left
    assert all(Path(name).name.startswith(".") for name in left)
    a20_parquet.npy_json(shards, out)
    assert pairs(out) == expected
    with pytest.raises(a20_parquet.A20ParquetError, match="no shard found"):
        a20_parquet.npy_json(out, tmp_path / "again")


def test_a_folder_in_the_dataset_is_refused(shards: Path, tmp_path: Path) -> None:
    """Before anything is written."""
    for folder in (tmp_path / "d", tmp_path / "d" / "data", "s3://bucket/folder"):
        with pytest.raises(UsageError):
            a20_parquet.convert(shards, tmp_path / "d", npy_json=folder)
    assert list(tmp_path.iterdir()) == []


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command; its exit code."""
    monkeypatch.setattr("sys.argv", ["a20-parquet", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_command(
    shards: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last argument is the folder; the summary is on stdout, what was left out on stderr."""
    write_shard(tmp_path / "z" / "z.tfrecord", [make_record(random_tensor((1, 1, 16)), "x.wav")])
    out = tmp_path / "out"
    assert run(monkeypatch, "npy-json", shards, tmp_path / "z", out, "--workers", "1") == 0
    captured = capsys.readouterr()
    assert "5 shards, 121 records," in captured.out
    assert str(out) in captured.out
    assert "left out: 1 record " in captured.err
    assert "(x.wav)" in captured.err
    assert expected.items() <= pairs(out).items()
    assert run(monkeypatch, "npy-json", shards, out, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["shards"], found["records"], found["left_out"]) == (4, 120, 0)
    options = ("--npy-json", tmp_path / "beside")
    assert run(monkeypatch, "convert", shards, tmp_path / "d", *options) == 0
    assert f"{tmp_path / 'd'}\n{tmp_path / 'beside'}\n" in capsys.readouterr().out
    assert pairs(tmp_path / "beside") == expected


def test_wrong_usage(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A URL, a file, no worker or no folder: exit code 2."""
    (tmp_path / "file").write_text("")
    for arguments in (
        [shards, "gs://bucket/folder"],
        [shards, tmp_path / "file"],
        [shards, tmp_path / "out", "--workers", "0"],
        [shards, tmp_path / "out", "--decoder", "protobuf"],
        [shards],
    ):
        assert run(monkeypatch, "npy-json", *arguments) == 2
    assert run(monkeypatch, "convert", shards, tmp_path / "d", "--npy-json", "gs://b") == 2
    assert "local folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
