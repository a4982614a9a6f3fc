"""The form of a feature: given by the user, or found in sampled records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from a20_parquet.errors import UsageError
from a20_parquet.windows.schema import MAX_TEXT_BYTES, Feature, FeatureKind, FeatureScope

_WORD = re.compile(rf"({'|'.join(FeatureKind)})(?:\[(\d{{1,9}})\])?|({'|'.join(FeatureScope)})")
_LEAST_TEXT_BYTES = 256
# Other texts may be longer than those of the sample.
_TEXT_ROOM = 4
_MOST_DESCRIBED = 3


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """A requested feature: ``NAME``, or with its form ``NAME:KIND[SIZE]:SCOPE``."""

    name: str
    kind: FeatureKind | None = None
    size: int = 0
    """See ``Feature``; 0 if not given."""
    scope: FeatureScope | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the value of ``--feature``; a name may contain colons itself.

        Raises:
            UsageError: there is no name, or two kinds or scopes.
        """
        name, kind, size, scope = text, None, 0, None
        while True:
            before, colon, word = name.rpartition(":")
            match = _WORD.fullmatch(word) if colon else None
            if match is None:
                break
            if kind if match[1] else scope:
                raise UsageError(f"--feature {text}: {word} is a second kind or scope.")
            if match[1]:
                kind, size = FeatureKind(match[1]), int(match[2] or 0)
            else:
                scope = FeatureScope(match[3])
            name = before
        if not name:
            raise UsageError(
                f"--feature {text}: expected a name, as NAME or NAME:KIND[SIZE]:SCOPE."
            )
        return cls(name, kind, size, scope)

    def of(self, known: Feature) -> Feature:
        """Replace what is given here in a dataset's feature."""
        return replace(
            known,
            kind=self.kind or known.kind,
            size=self.size or known.size,
            scope=self.scope or known.scope,
        )

    def whole(self) -> Feature | None:
        """The feature if its whole form is given, else None."""
        scope = FeatureScope.WINDOW if self.kind is FeatureKind.TENSOR else self.scope
        if self.kind is None or scope is None or not self.size:
            return None
        return Feature(self.name, self.size, self.kind, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFeature:
    """How one record stores a feature."""

    where: str
    """Shard and record, for messages."""
    list_kind: str
    """``bytes_list``, ``float_list`` or ``int64_list``."""
    kinds: tuple[FeatureKind, ...]
    """Possible kinds, the likeliest first."""
    count: int
    """Number of values, at least one."""
    windows: int
    channels: int
    longest: int = 0
    """Most bytes of a text."""

    def size(self, scope: FeatureScope) -> int:
        """Values per record, window or channel; 0 if not a whole number."""
        parts = {
            FeatureScope.RECORD: 1,
            FeatureScope.WINDOW: self.windows,
            FeatureScope.CHANNEL: self.windows * self.channels,
        }[scope]
        size, rest = divmod(self.count, max(parts, 1))
        return 0 if rest or not parts else size


def learn_list(request: FeatureRequest, seen: Sequence[SeenFeature]) -> tuple[Feature, str | None]:
    """Find the form of a feature that is not a tensor.

    Args:
        request: what the user states of its form.
        seen: the feature in sampled records, at least one.

    Returns:
        The feature, and the assumption made: a sentence, or None.

    Raises:
        UsageError: it fits no column, or several.
    """
    kind = request.kind or _kind(request.name, seen)
    fitting = [each for each in seen if kind in each.kinds]
    if not fitting:
        raise UsageError(f"--feature {request.name}:{kind}: {_forms(request.name, seen)}.")
    scopes = _scopes(request, kind, fitting)
    if not scopes:
        raise UsageError(
            f"--feature {request.name} fits no column, which has as many values for each window "
            f"or record: {_forms(request.name, fitting)}. {_fix(request.name, kind)}"
        )
    assumed = None
    scope = next(iter(scopes))
    if len(scopes) > 1:
        forms = {each: f"--feature {request.name}:{each}" for each in scopes}
        single = [each for each in FeatureScope if scopes.get(each) == 1]
        if not single:
            raise UsageError(
                f"--feature {request.name} has several meanings: {_forms(request.name, fitting)}. "
                f"State whether they belong to the record, the window or the channel, as "
                f"{' or '.join(forms.values())}."
            )
        scope = single[-1]
        others = " or ".join(form for each, form in forms.items() if each is not scope)
        assumed = (
            f"{request.name} has {_counts(fitting)}, so that each {scope} is taken to have "
            f"its own value ({others} takes them otherwise)"
        )
    size = scopes[scope]
    if kind.is_text:
        size = request.size or _text_room(max(each.longest for each in fitting))
    return Feature(request.name, size, kind, scope), assumed


def _kind(name: str, seen: Sequence[SeenFeature]) -> FeatureKind:
    """The first kind that fits all records."""
    for kind in seen[0].kinds:
        if all(kind in each.kinds for each in seen):
            return kind
    raise UsageError(
        f"--feature {name} is not the same in all records: {_forms(name, seen)}. "
        f"{_fix(name, seen[0].kinds[0])}"
    )


def _scopes(
    request: FeatureRequest, kind: FeatureKind, seen: Sequence[SeenFeature]
) -> dict[FeatureScope, int]:
    """Possible scopes with their sizes; of scopes with equal rows only the first."""
    found: dict[FeatureScope, int] = {}
    for scope in FeatureScope:
        if request.scope not in {None, scope}:
            continue
        sizes = {each.size(scope) for each in seen}
        size = sizes.pop()
        wanted = 1 if kind.is_text else request.size
        if not sizes and size and size == (wanted or size):
            found[scope] = size
    if all(each.windows <= 1 for each in seen) and FeatureScope.RECORD in found:
        found.pop(FeatureScope.WINDOW, None)
    if all(each.channels <= 1 for each in seen) and len(found) > 1:
        found.pop(FeatureScope.CHANNEL, None)
    return found


def _text_room(longest: int) -> int:
    room = max(_LEAST_TEXT_BYTES, 1 << (_TEXT_ROOM * longest - 1).bit_length())
    return max(longest, min(room, MAX_TEXT_BYTES))


def _forms(name: str, seen: Sequence[SeenFeature]) -> str:
    """Describe what the records contain, each form once."""
    ways = {(e.list_kind, e.kinds[:1], e.count, e.windows, e.channels): e for e in reversed(seen)}
    forms = [
        f"{each.where} has {each.count} in its {each.list_kind} {name!r} for {each.windows} "
        f"windows of {each.channels} channels"
        for each in list(ways.values())[::-1][:_MOST_DESCRIBED]
    ]
    return "; ".join(forms)


def _counts(seen: Sequence[SeenFeature]) -> str:
    first = seen[0]
    if len({each.count for each in seen}) > 1:
        return f"as many values as windows times channels in all {len(seen)} records looked at"
    return (
        f"{first.count} values in each of {len(seen)} records looked at, all of {first.windows} "
        f"windows"
    )


def _fix(name: str, kind: FeatureKind) -> str:
    return (
        f"State its form, for example --feature {name}:{kind}[1]:record: records with another "
        "form of it go to quarantine."
    )
