"""What ``dir``, ``help`` and tab completion show of the package."""

import inspect
import pydoc
import re
import rlcompleter
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion.options import ConvertOptions, OptionValues
from a20_parquet.windows.filenames.patterns import GROUPS

FUNCTIONS = [name for name in a20_parquet.__all__ if name[0].islower()]


def help_text(function: Callable[..., Any]) -> str:
    """What ``help`` prints."""
    return pydoc.plain(pydoc.render_doc(function))


def test_names_are_listed_before_they_are_used() -> None:
    """``dir`` names what is public, and imports none of it."""
    code = (
        "import sys, a20_parquet\n"
        "names = dir(a20_parquet)\n"
        "assert set(a20_parquet.__all__) < set(names), names\n"
        "assert 'sys' not in names and '_HOMES' not in names, names\n"
        "heavy = {'pydantic', 'numpy', 'pyarrow', 'polars'} & set(sys.modules)\n"
        "sys.exit(str(heavy or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_names_are_the_same_afterwards() -> None:
    """Modules that were imported meanwhile do not come along."""
    before = dir(a20_parquet)
    import_module("a20_parquet.conversion.convert")
    import_module("a20_parquet.conversion.options")
    assert dir(a20_parquet) == before


def test_tab_completes_names() -> None:
    """As Python's own completer does it."""
    completer = rlcompleter.Completer({"a20_parquet": a20_parquet})
    assert completer.complete("a20_parquet.repo", 0) == "a20_parquet.report("
    assert completer.complete("a20_parquet.read_w", 0) == "a20_parquet.read_windows("


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_names_every_argument(name: str) -> None:
    """Its signature has no argument that the docstring does not explain, and no ``**``."""
    function = getattr(a20_parquet, name)
    text = help_text(function)
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD
        assert re.search(rf"^ +{parameter.name}( \(.+\))?: ?", text, re.MULTILINE), parameter.name


@pytest.mark.parametrize(("name", "decoder"), [("convert", "tensorflow"), ("plan", "wire")])
def test_help_has_every_option(name: str, decoder: str) -> None:
    """With its type, its default and its meaning, as the options themselves have them."""
    function = getattr(a20_parquet, name)
    parameters = inspect.signature(function).parameters
    text = help_text(function)
    assert set(OptionValues.__annotations__) == set(ConvertOptions.model_fields)
    for option, field in ConvertOptions.model_fields.items():
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        entry = re.search(
            rf"^ +{option} \((.+)\):\n((?: {{16,}}.*\n)+)",
            text,
            re.MULTILINE,
        )
        assert entry is not None, option
        assert field.description
        assert entry[2].split() == field.description.split()
        default = parameters[option].default
        if field.default_factory is None:
            assert entry[1].endswith(f", default {default!r}")
            assert default == (decoder if option == "decoder" else field.default)
        else:
            assert "by default" in field.description
    assert "'site,date' | 'site,month' | 'site,year' | 'site'" in text
    for group in GROUPS:
        assert f"``{group}``" in text


def test_computed_defaults_may_be_left_out() -> None:
    """What the signature shows as a default is the option's own."""
    parameters = inspect.signature(a20_parquet.convert).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name in ConvertOptions.model_fields and repr(parameter.default) != "<see below>"
    }
    assert ConvertOptions.parse(defaults) == ConvertOptions.parse({})  # type: ignore[arg-type]
