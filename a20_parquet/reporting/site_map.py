"""Draws sites on a map: an SVG image with a graticule, without tiles from a network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, cos, radians, sqrt

from a20_parquet.formatting import format_count
from a20_parquet.reporting.coastline import OUTLINES, Outline
from a20_parquet.reporting.html_parts import format_hours

WIDTH = 640
_LEAST_HEIGHT, _MOST_HEIGHT = 300, 520
_MARGIN = 36
# About a kilometre on each side: sites of one place need no more.
_LEAST_DEGREES = 0.02
_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)
_MOST_LINES = 6
_LABEL_WIDTH = 60
_TOGETHER = 9
_LEAST_RADIUS, _MOST_RADIUS = 4.5, 11.0
_NAMED = 6


@dataclass(frozen=True, slots=True)
class MapSite:
    """A site on the map."""

    number: int
    """Its index among all sites."""
    name: str
    latitude: float
    """In degrees, north is positive."""
    longitude: float
    """In degrees, east is positive."""
    hours: float
    """Of audio."""


@dataclass(frozen=True, slots=True)
class _Projection:
    """Equirectangular, true to scale at the latitude in its middle."""

    west: float
    north: float
    height: float
    scale: float
    """Units per degree of latitude."""
    narrowing: float
    """Length of a degree of longitude, relative to one of latitude."""

    @classmethod
    def around(cls, sites: Sequence[MapSite]) -> "_Projection":
        """Fit all sites into the image, with a margin."""
        south, north = _extent([site.latitude for site in sites])
        west, east = _extent([site.longitude for site in sites])
        narrowing = max(cos(radians((south + north) / 2)), 0.05)
        wide, high = (east - west) * narrowing, north - south
        inner = WIDTH - 2 * _MARGIN
        scale = min(inner / wide, (_MOST_HEIGHT - 2 * _MARGIN) / high)
        height = max(high * scale + 2 * _MARGIN, _LEAST_HEIGHT)
        return cls(
            west=(west + east) / 2 - WIDTH / 2 / scale / narrowing,
            north=(south + north) / 2 + height / 2 / scale,
            height=height,
            scale=scale,
            narrowing=narrowing,
        )

    @property
    def east(self) -> float:
        return self.west + WIDTH / self.scale / self.narrowing

    @property
    def south(self) -> float:
        return self.north - self.height / self.scale

    def x(self, longitude: float) -> float:
        return (longitude - self.west) * self.scale * self.narrowing

    def y(self, latitude: float) -> float:
        return (self.north - latitude) * self.scale


def site_map(sites: Sequence[MapSite]) -> str:
    """Draw sites, each a circle whose area stands for its hours; near ones share a circle.

    Args:
        sites: at least one.
    """
    projection = _Projection.around(sites)
    return (
        f'<svg class="map" id="map" viewBox="0 0 {WIDTH} {projection.height:.0f}" role="img" '
        f'tabindex="0" aria-label="Map of {format_count(len(sites), "site")}. Arrow keys go from '
        'circle to circle; the table of sites tells the positions.">'
        f"{''.join(_coast(projection))}{''.join(_graticule(projection))}"
        f"{''.join(_circles(projection, sites))}</svg>"
    )


def shows_coast(sites: Sequence[MapSite]) -> bool:
    """Whether a part of the outline is on the map."""
    return bool(sites) and any(_coast(_Projection.around(sites)))


def _extent(values: Sequence[float]) -> tuple[float, float]:
    middle, half = (min(values) + max(values)) / 2, (max(values) - min(values)) / 2
    half = max(half, _LEAST_DEGREES / 2)
    return middle - half, middle + half


def _coast(projection: _Projection) -> Iterator[str]:
    for outline in OUTLINES:
        if _touches(projection, outline):
            points = " ".join(f"{projection.x(x):.1f},{projection.y(y):.1f}" for x, y in outline)
            yield f'<polygon class="land" points="{points}"></polygon>'


def _touches(projection: _Projection, outline: Outline) -> bool:
    longitudes, latitudes = [east for east, _ in outline], [north for _, north in outline]
    is_across = min(longitudes) < projection.east and max(longitudes) > projection.west
    is_down = min(latitudes) < projection.north and max(latitudes) > projection.south
    return is_across and is_down


def _graticule(projection: _Projection) -> Iterator[str]:
    """Yield meridians and parallels at round degrees, with labels at the edges."""
    width = projection.east - projection.west
    step = next((step for step in _STEPS if width / step <= _MOST_LINES), _STEPS[-1])
    bottom = projection.height - 6
    for degrees in _rounded(projection.west, projection.east, step):
        x = projection.x(degrees)
        yield f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{projection.height:.0f}"/>'
        if x < WIDTH - _LABEL_WIDTH:
            label = _degrees(degrees, step, "E", "W")
            yield f'<text x="{x + 4:.1f}" y="{bottom:.0f}">{label}</text>'
    for degrees in _rounded(projection.south, projection.north, step):
        y = projection.y(degrees)
        yield f'<line class="grid" x1="0" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}"/>'
        yield f'<text x="4" y="{y - 4:.1f}">{_degrees(degrees, step, "N", "S")}</text>'


def _rounded(low: float, high: float, step: float) -> Iterator[float]:
    number = ceil(low / step)
    while number * step < high:
        yield number * step
        number += 1


def _degrees(degrees: float, step: float, positive: str, negative: str) -> str:
    decimals = max(len(f"{step:g}".partition(".")[2]), 0)
    text = f"{abs(degrees):.{decimals}f}°"
    if float(f"{degrees:.{decimals}f}") == 0:
        return text
    return f"{text} {positive if degrees > 0 else negative}"


def _circles(projection: _Projection, sites: Sequence[MapSite]) -> Iterator[str]:
    """Yield circles, the large ones first, so that they cover no small one."""
    groups = _together(projection, sites)
    most = max(sum(site.hours for site in group) for _, _, group in groups)
    order = sorted(groups, key=lambda group: -sum(site.hours for site in group[2]))
    for x, y, group in order:
        hours = sum(site.hours for site in group)
        share = sqrt(hours / most) if most else 1.0
        radius = _LEAST_RADIUS + (_MOST_RADIUS - _LEAST_RADIUS) * share
        tip = escape("\n".join(_tip(group, hours))).replace("\n", "&#10;")
        numbers = " ".join(str(site.number) for site in group)
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" data-sites="{numbers}" '
            f'data-tip="{tip}"></circle>'
        )


def _together(
    projection: _Projection, sites: Sequence[MapSite]
) -> list[tuple[float, float, list[MapSite]]]:
    """Group sites that would cover each other, each group at the place of its first site."""
    groups: list[tuple[float, float, list[MapSite]]] = []
    cells: dict[tuple[int, int], list[int]] = {}
    for site in sites:
        x, y = projection.x(site.longitude), projection.y(site.latitude)
        column, row = int(x // _TOGETHER), int(y // _TOGETHER)
        near = (
            number
            for across in (-1, 0, 1)
            for down in (-1, 0, 1)
            for number in cells.get((column + across, row + down), ())
        )
        for number in near:
            there_x, there_y, group = groups[number]
            if (x - there_x) ** 2 + (y - there_y) ** 2 < _TOGETHER**2:
                group.append(site)
                break
        else:
            cells.setdefault((column, row), []).append(len(groups))
            groups.append((x, y, [site]))
    return groups


def _tip(group: Sequence[MapSite], hours: float) -> Iterator[str]:
    if len(group) > 1:
        yield f"{len(group)} sites, {format_hours(hours)} h of audio"
    for site in group[:_NAMED]:
        yield site.name
    if len(group) > _NAMED:
        yield f"and {len(group) - _NAMED} more"
    first = group[0]
    if len(group) == 1:
        yield f"{format_hours(hours)} h of audio"
    north = f"{abs(first.latitude):.3f}° {'N' if first.latitude >= 0 else 'S'}"
    yield f"{north}, {abs(first.longitude):.3f}° {'E' if first.longitude >= 0 else 'W'}"
