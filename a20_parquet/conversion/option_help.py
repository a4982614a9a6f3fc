"""Signature and docstring of functions that take the options of a conversion as keywords."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from textwrap import wrap
from typing import Any, Final, TypeVar, get_type_hints

from a20_parquet.conversion.options import ConvertOptions, OptionValues

Function = TypeVar("Function", bound=Callable[..., Any])

_WIDTH = 88
_INDENT = " " * 8


class _Computed:
    """Default, in a signature, that depends on the machine."""

    def __repr__(self) -> str:
        return "<see below>"


_COMPUTED: Final = _Computed()


def with_options(**defaults: str) -> Callable[[Function], Function]:
    """Return a decorator that adds each option to a function's signature and docstring.

    The function has ``**options``, and ``options`` is the last of the ``Args`` in its docstring.

    Args:
        defaults: defaults that differ from those of a conversion, by the option's name.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, kind, default in _options(defaults)
        ]
        # Functions have no such attribute by default, so that assigning to it is a type error.
        vars(function)["__signature__"] = signature.replace(parameters=[*own, *options])
        lines = "\n".join(_help_lines(defaults))
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = re.sub(
            r"^( +options: .*(?:\n {8}.*)*)$", rf"\1\n{lines}", text, count=1, flags=re.MULTILINE
        )
        return function

    return decorate


def _options(defaults: Mapping[str, str]) -> Iterator[tuple[str, Any, object]]:
    """Yield name, type and default of each option."""
    kinds = get_type_hints(OptionValues)
    for name, field in ConvertOptions.model_fields.items():
        if field.default_factory is not None:
            yield name, kinds[name], _COMPUTED
        else:
            yield name, kinds[name], defaults.get(name, _plain(field.default))


def _plain(value: object) -> object:
    """A default as a user would write it."""
    if isinstance(value, Enum):
        return value.value
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _help_lines(defaults: Mapping[str, str]) -> Iterator[str]:
    for name, kind, default in _options(defaults):
        description = " ".join((ConvertOptions.model_fields[name].description or "").split())
        shown = "" if default is _COMPUTED else f", default {default!r}"
        yield f"{_INDENT}{name} ({_type_name(kind)}{shown}):"
        indent = f"{_INDENT}    "
        yield from wrap(description, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _type_name(kind: Any) -> str:
    """Format a type without module names, and an enumeration as its values."""
    members = {
        member.__name__: " | ".join(repr(each.value) for each in member)
        for member in (kind, *getattr(kind, "__args__", ()))
        if isinstance(member, type) and issubclass(member, Enum)
    }
    if members:
        return " | ".join(members.values())
    return re.sub(r"\w+\.", "", inspect.formatannotation(kind))
