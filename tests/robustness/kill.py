"""Kills conversions at random moments, resumes them, and compares with undisturbed ones.

``python -m tests.robustness.kill --runs 50``
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.helpers.layout import LocalLayout
from tests.robustness.children import StepTrap, count_markers, digest_tree, start
from tests.robustness.power import cut_power
from tests.robustness.scenes import (
    LARGE,
    SMALL,
    TINY,
    AnyPath,
    Scene,
    Undisturbed,
    convert,
    look,
    make_scenes,
    observe,
)

STAGES = (
    "before the plan is written",
    "planned",
    "first pass, no unit committed",
    "first pass, some units committed",
    "second pass, no unit committed",
    "second pass, some units committed",
    "files.parquet staged",
    "commit.json written, manifest old",
    "manifest new, nothing moved",
    "manifest new, quarantine or sites moving",
    "manifest new, all moved",
    "plan removed, traces left",
    "finished",
)
MODES = ("time", "marker", "early step", "step", "commit step")
_EARLY_STEPS = 30
_COMMITTED = 8
"""From which stage on all is on disk."""
_LEAST_KILLS = 2


@dataclass(slots=True)
class Tally:
    """What has happened so far."""

    runs: int = 0
    scenes: Counter[str] = field(default_factory=Counter)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By stage and mode."""
    power_cuts: int = 0
    spoilt_files: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    """What readers saw between kill and resume."""

    def table(self) -> str:
        """The kills by stage and mode."""
        head = f"{'':44}" + "".join(f"{mode:>13}" for mode in (*MODES, "all"))
        rows = []
        for stage in STAGES:
            counts = [self.kills[stage, mode] for mode in MODES]
            rows.append(f"{stage:44}" + "".join(f"{n:13}" for n in (*counts, sum(counts))))
        return "\n".join([head, *rows])


def find_stage(place: AnyPath, expected: Undisturbed) -> str:
    """Say how far a killed conversion had come, by what lies there."""
    layout = LocalLayout.at(place.dataset)
    known = {place.dataset / name for name in expected.base_files}
    runs = [*layout.conversion.glob("runs/*"), *(p for s in place.scratch for p in s.rglob("*.*"))]
    staged = layout.staged_quarantine
    has_staged = staged.exists() and any(staged.iterdir())
    is_planned = layout.plan.exists()
    is_new = layout.manifest.exists() and layout.manifest.read_bytes() == expected.manifest
    # The latest stage whose sign is there.
    signs = (
        (12, is_new and not layout.conversion.exists()),
        (11, is_new and not is_planned),
        (8, is_new and layout.staged_files.exists()),
        (9, is_new and (layout.staged_sites.exists() or has_staged)),
        (10, is_new),
        (0, not is_planned),
        (7, layout.commit.exists()),
        (6, layout.staged_files.exists()),
        (5, any(layout.units.glob("*.json"))),
        (4, any(path not in known for path in layout.data.rglob("*.parquet"))),
        (3, any(layout.sorted.glob("*.json"))),
        (2, bool(runs) or staged.exists()),
    )
    return STAGES[next((stage for stage, is_there in signs if is_there), 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trap:
    """When a conversion is killed."""

    mode: str = field(kw_only=False)
    at: int | None = None
    """Before which step."""
    behind: str = ""
    """See ``StepTrap``."""
    watch: Callable[[], bool] = lambda: False
    """Or as soon as this is true."""


class Killer:
    """Kills and resumes conversions."""

    def __init__(self, place: AnyPath, seed: int) -> None:
        self.tally = Tally()
        self._place = place
        self._draw = np.random.default_rng(seed)

    def run(self, scene: Scene, expected: Undisturbed) -> None:
        """Kill one conversion several times, resume it to its end, and compare.

        Raises:
            AssertionError: something is not as it must be.
        """
        kills = 0
        while kills < _LEAST_KILLS:  # else it was too fast: once more
            self._place.reset(scene.base)
            most = int(self._draw.integers(_LEAST_KILLS, 7))
            for kills in range(most):  # noqa: B007 -- how many there were is asked below
                mode = MODES[self._draw.choice(len(MODES), p=[0.2, 0.2, 0.2, 0.2, 0.2])]
                if self._attempt(scene, expected, self._draw_trap(expected, mode)):
                    break
            else:
                kills = most
                ended = self._attempt(scene, expected, _Trap("none"))
                assert ended, f"{scene.name}: killed by nobody"
            self._compare(scene, expected)
        self.tally.runs += 1
        self.tally.scenes[scene.name] += 1

    def sweep(self, scene: Scene, expected: Undisturbed) -> None:
        """Kill one conversion after another, each before its next step, and resume each.

        Raises:
            AssertionError: something is not as it must be.
        """
        for step in range(expected.steps):
            self._place.reset(scene.base)
            if not self._attempt(scene, expected, _Trap("step", at=step)):
                ended = self._attempt(scene, expected, _Trap("none"))
                assert ended, f"{scene.name}: killed by nobody"
            self._compare(scene, expected)
            self.tally.runs += 1
            self.tally.scenes[scene.name] += 1

    def _compare(self, scene: Scene, expected: Undisturbed) -> None:
        found = {path.name: digest_tree(path) for path in self._place.written}
        assert found == expected.tree, f"{scene.name}: {differences(found, expected.tree)}"

    def _attempt(self, scene: Scene, expected: Undisturbed, trap: "_Trap") -> bool:
        """Convert, or go on; whether it came to its end."""
        place, draw = self._place, self._draw
        running: dict[str, Any] = {
            "memory": [TINY, TINY, SMALL, LARGE][draw.integers(4)],
            "workers": int(draw.integers(1, 3)),
            "scratch": [None, None, *place.scratch][draw.integers(4)],
            "embeddings": ["located", "copied"][draw.integers(2)],
        }
        if "overwrite" in scene.options and self._is_planned(expected):
            running["overwrite"] = bool(draw.random() < 0.5)
        if scene.again and self._is_new(place.dataset / "manifest.json", expected):
            scene = replace(scene, sources=scene.again, options={})
        make_trap = partial(StepTrap, place.written, trap.at, trap.behind)
        child = start(partial(convert, place, scene, running, make_trap), place.folder / "output")
        code = child.wait(trap.watch)
        if code == 0:
            return True
        assert code == -9, f"{scene.name}: exit code {code}: {child.output.read_text()}"
        stage = find_stage(place, expected)
        self.tally.kills[stage, trap.mode] += 1
        self._look(scene, expected, stage)
        if STAGES.index(stage) < _COMMITTED and draw.random() < 0.4:
            self.tally.power_cuts += 1
            self.tally.spoilt_files += cut_power(place, expected.base_files, draw)
            self._look(scene, expected, stage)
        return False

    def _draw_trap(self, expected: Undisturbed, mode: str) -> "_Trap":
        draw = self._draw
        if mode == "time":
            end = time.monotonic() + draw.random() * expected.seconds
            return _Trap(mode, watch=lambda: time.monotonic() > end)
        if mode == "marker":
            return _Trap(mode, watch=self._marker(expected))
        if mode == "step":
            return _Trap(mode, at=int(draw.integers(expected.steps)))
        if mode == "early step":
            return _Trap(mode, at=int(draw.integers(_EARLY_STEPS)), behind="conversion/plan.json")
        behind = "conversion/files.parquet"
        return _Trap(mode, at=int(draw.integers(expected.commit_steps)), behind=behind)

    def _is_planned(self, expected: Undisturbed) -> bool:
        """Whether the plan that lies there is this conversion's own."""
        layout = LocalLayout.at(self._place.dataset)
        return layout.plan.exists() and "conversion/plan.json" not in expected.base_files

    def _marker(self, expected: Undisturbed) -> Callable[[], bool]:
        """Something to wait for: any of the marks that a conversion leaves on its way."""
        layout = LocalLayout.at(self._place.dataset)
        count = int(self._draw.integers(1, 9))
        choices = [
            layout.plan.exists,
            lambda: count_markers(layout.sorted) >= count,
            lambda: count_markers(layout.units) >= count,
            layout.staged_files.exists,
            layout.commit.exists,
            lambda: self._is_new(layout.manifest, expected),
            lambda: not layout.plan.exists() and self._is_new(layout.manifest, expected),
        ]
        return choices[self._draw.integers(len(choices))]

    def _is_new(self, manifest: Path, expected: Undisturbed) -> bool:
        try:
            return manifest.read_bytes() == expected.manifest
        except FileNotFoundError:
            return False

    def _look(self, scene: Scene, expected: Undisturbed, stage: str) -> None:
        """A reader sees what the manifest that lies there stands for."""
        manifest = self._place.dataset / "manifest.json"
        content = manifest.read_bytes() if manifest.exists() else None
        seen = look(self._place)
        if content is None:
            kind, right = "nothing", "nothing"
        elif content == expected.manifest:
            kind, right = "the new dataset", expected.rows
        else:
            kind, right = "the old dataset", expected.base_rows
            assert content == expected.base_manifest, f"{scene.name}: a third manifest"
        assert seen == right, f"{scene.name}, {stage}: a reader sees {seen}, expected {kind}"
        self.tally.seen[kind] += 1


def differences(found: Any, expected: Any) -> list[str]:
    """Name what is more, less or other than expected."""
    return [
        f"{folder}/{name}: {found[folder].get(name)} for {expected[folder].get(name)}"
        for folder in expected
        for name in sorted({*found[folder], *expected[folder]})
        if found[folder].get(name) != expected[folder].get(name)
    ][:20]


@click.command()
@click.option("--runs", default=50, help="How many conversions to kill.")
@click.option("--seed", default=0, help="Of the random moments.")
@click.option("--records", default=120, help="Of each shard.")
@click.option("--sweep", help="Kill the scene of this name before each of its steps instead.")
@click.option("--folder", type=Path, help="Where to work; by default a temporary folder.")
def main(runs: int, seed: int, records: int, sweep: str | None, folder: Path | None) -> None:
    """Kill conversions and print what was hit."""
    load_tensorflow()  # so that no fork has to
    began = time.monotonic()
    with TemporaryDirectory(dir=folder) as temporary:
        place = AnyPath(Path(temporary))
        killer = Killer(place, seed)
        scenes = make_scenes(place, records=records)
        if sweep is not None:
            scenes = [scene for scene in scenes if scene.name == sweep]
            runs = len(scenes)
        expected: dict[str, Undisturbed] = {}
        for number in range(runs):
            scene = scenes[number % len(scenes)]
            if scene.name not in expected:
                now = expected[scene.name] = observe(place, scene)
                click.echo(
                    f"{scene.name}: {now.seconds:.1f} s, {now.steps} steps, "
                    f"{now.commit_steps} of the commit"
                )
            (killer.sweep if sweep else killer.run)(scene, expected[scene.name])
    tally = killer.tally
    click.echo(tally.table())
    click.echo(
        f"{tally.runs} runs, {sum(tally.kills.values())} kills, "
        f"{tally.power_cuts} power cuts that spoilt {tally.spoilt_files} files"
    )
    click.echo(f"readers saw: {dict(tally.seen)}")
    click.echo(f"scenes: {dict(tally.scenes)}")
    click.echo(
        f"every dataset is byte-identical to the undisturbed one; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
