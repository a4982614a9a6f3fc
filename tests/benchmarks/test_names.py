"""The contenders' names say what is run."""

import click
import pytest

from a20_parquet.cli.main import cli
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.parquet import Compression
from benchmarks.contenders import CONTENDERS
from benchmarks.inputs import Layout
from benchmarks.names import COMPRESSIONS, DECODERS, NAMES, OTHERS, PROGRAM, USUAL, Choice, pick
from benchmarks.promises import budget_names, small_names, usual_names

pytestmark = pytest.mark.slow


def test_every_decoder_and_compression_has_a_contender() -> None:
    assert set(DECODERS) == set(DecoderName)
    assert set(COMPRESSIONS) == set(Compression)
    assert {"cp", *CONTENDERS} == set(OTHERS)


def test_a_name_says_keys_decoder_and_compression() -> None:
    arguments = " ".join(PROGRAM["a20_site_month_wire_zstd"])
    assert "--partition-by site,month --decoder wire --compression zstd" in arguments
    assert PROGRAM["npy_json_wire"] == ("npy-json", "--decoder", "wire")


@pytest.mark.parametrize("name", PROGRAM)
def test_the_command_line_takes_the_arguments_of_every_name(name: str) -> None:
    command, *arguments = PROGRAM[name]
    parsed = cli.commands[command]
    assert isinstance(parsed.make_context(command, [*arguments, "in", "out"]), click.Context)


def test_what_is_measured_is_known() -> None:
    for names in (USUAL, usual_names(), small_names(), budget_names()):
        assert set(names) <= set(NAMES)
        assert len(set(names)) == len(names)


def test_patterns_choose_names_in_their_own_order() -> None:
    assert pick(["b_1", "a_2", "a_1"], ["*_1", "a_1"]) == ["b_1", "a_1"]
    assert Choice(NAMES).convert("npy_json_*,cp", None, None) == [
        "cp",
        "npy_json_tensorflow",
        "npy_json_wire",
    ]


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'c\*' matches none of a, b"):
        pick(["a", "b"], ["a", "c*"])
    with pytest.raises(click.BadParameter, match="nobody"):
        Choice(NAMES).convert("cp,nobody", None, None)


@pytest.mark.parametrize(
    ("text", "recorders", "days", "size"),
    [
        ("4x100KB", 2, 2, 400_000),
        ("7000x430KB", 84, 83, 2_997_960_000),
        ("3x5x1MB", 3, 5, 15_000_000),
    ],
)
def test_a_layout_is_a_number_of_partitions(
    text: str, recorders: int, days: int, size: int
) -> None:
    plan = Layout().convert(text, None, None)
    assert (plan.recorders, plan.days, plan.size_bytes) == (recorders, days, size)
