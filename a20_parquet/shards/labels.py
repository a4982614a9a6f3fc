"""Unique labels of shards, and incomplete numbered sets."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice, takewhile

NUMBERED = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5,})-of-(?P<total>\d{5,})")
_MAX_NAMED_MISSING = 5


def make_labels(paths: Sequence[str], taken: Mapping[str, str] | None = None) -> list[str]:
    """Label files by name or, if several share it, by the shortest distinct path tail.

    Folders in a label are joined by ``__``. The common folder of all files is not part of labels,
    so that they stay when it moves. Labels are unique: those that collide because names contain
    ``__`` are numbered.

    Args:
        paths: of the files to label.
        taken: labels of other files, with their paths; they are not given again.
    """
    taken = taken or {}
    whole = [path.strip("/").split("/") for path in (*paths, *taken.values())]
    levels = zip(*(part[:-1] for part in whole), strict=False)
    common = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    parts = [part[common:] for part in whole[: len(paths)]]
    depth = [1] * len(paths)
    while True:
        labels = ["__".join(part[-n:]) for part, n in zip(parts, depth, strict=True)]
        times = Counter([*labels, *taken])
        grow = [
            i for i, label in enumerate(labels) if times[label] > 1 and depth[i] < len(parts[i])
        ]
        if not grow:
            return _number_repeated(labels, paths, set(taken))
        for i in grow:
            depth[i] += 1


def _number_repeated(labels: Sequence[str], paths: Sequence[str], used: set[str]) -> list[str]:
    unique = list(labels)
    for i in sorted(range(len(paths)), key=paths.__getitem__):
        numbers = count(2)
        while unique[i] in used:
            unique[i] = f"{labels[i]}~{next(numbers)}"
        used.add(unique[i])
    return unique


def missing_shards(paths: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each numbered set of shards that is incomplete."""
    sets: dict[tuple[str, str], set[int]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        match = NUMBERED.match(name)
        if match:
            key = f"{folder}/{match['stem']}" if folder else match["stem"]
            sets[key, match["total"]].add(int(match["number"]))
    for (stem, total), numbers in sorted(sets.items()):
        # The total is only a name's word, and may be huge.
        here = sum(number < int(total) for number in numbers)
        absent = (number for number in range(int(total)) if number not in numbers)
        named = [f"{number:0{len(total)}d}" for number in islice(absent, _MAX_NAMED_MISSING)]
        if named:
            more = ", …" if int(total) - here > len(named) else ""
            yield (
                f"{stem}-*-of-{total}: {here} of {int(total)} shards are here, missing "
                f"{', '.join(named)}{more}"
            )
