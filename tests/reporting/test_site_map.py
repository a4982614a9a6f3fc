"""The map of sites: every site is on it once, where it belongs."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.reporting.coastline import OUTLINES
from a20_parquet.reporting.site_map import WIDTH, MapSite, shows_coast, site_map

_POSITIONS = st.tuples(
    st.one_of(st.floats(-90, 90), st.sampled_from([-33.0, -33.001, 0.0, 90.0, -90.0])),
    st.one_of(st.floats(-180, 180), st.sampled_from([151.0, 151.0001, 180.0, -180.0, 0.0])),
)


def sites(positions: list[tuple[float, float]], hours: float = 3.0) -> list[MapSite]:
    """Sites at latitudes and longitudes."""
    return [
        MapSite(number=i, name=f"s{i}", latitude=at[0], longitude=at[1], hours=hours * (i % 5))
        for i, at in enumerate(positions)
    ]


def draw(placed: list[MapSite]) -> ET.Element:
    """The map, parsed."""
    return ET.fromstring(site_map(placed))  # noqa: S314 - made here


@given(positions=st.lists(_POSITIONS, min_size=1, max_size=40))
def test_every_site_is_inside_once(positions: list[tuple[float, float]]) -> None:
    """Whatever the positions, each site has a circle, inside of the image; it is valid XML."""
    image = draw(sites(positions))
    height = float(image.attrib["viewBox"].split()[3])
    circles = image.findall("circle")
    numbers = [int(number) for each in circles for number in each.attrib["data-sites"].split()]
    assert sorted(numbers) == list(range(len(positions)))
    for each in circles:
        assert 0 <= float(each.attrib["cx"]) <= WIDTH
        assert 0 <= float(each.attrib["cy"]) <= height
    assert len(image.findall("line")) <= 60


def test_map_keeps_its_directions() -> None:
    """East is right, north is up, and a degree of longitude is shorter than one of latitude."""
    image = draw(sites([(-30, 140), (-30, 150), (-40, 140)]))
    at = {
        each.attrib["data-sites"]: (float(each.attrib["cx"]), float(each.attrib["cy"]))
        for each in image.findall("circle")
    }
    assert at["1"][0] > at["0"][0] == at["2"][0]
    assert at["2"][1] > at["0"][1] == at["1"][1]
    narrowing = (at["1"][0] - at["0"][0]) / (at["2"][1] - at["0"][1])
    assert narrowing == pytest.approx(0.819, abs=0.002)  # the cosine of 35 degrees


def test_near_sites_share_a_circle() -> None:
    """Recorders of one place would hide each other: the circle names all."""
    image = draw(sites([(-30, 140), (-30.001, 140.001), (-20, 130)]))
    first, *others = sorted(image.findall("circle"), key=lambda each: each.attrib["data-sites"])
    assert first.attrib["data-sites"] == "0 1"
    assert first.attrib["data-tip"].split("\n")[1:3] == ["s0", "s1"]
    assert [each.attrib["data-sites"] for each in others] == ["2"]


def test_graticule_names_degrees() -> None:
    """Labels are round degrees with the hemisphere."""
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", site_map(sites([(-30, 140), (10, 180)])))
    assert "20° S" in texts
    assert "0°" in texts
    assert "160° E" in texts
    small = re.findall(r"<text[^>]*>([^<]+)</text>", site_map(sites([(52.1, -1.31), (52.2, -1.2)])))
    assert "52.10° N" in small
    assert "1.25° W" in small


def test_coast_is_where_it_is() -> None:
    """The outline is drawn in Australia only, is closed, and has cities on the right side."""
    assert shows_coast(sites([(-33.8, 151.0)]))
    assert not shows_coast(sites([(52.0, 1.0)]))
    assert not shows_coast([])

    def is_land(latitude: float, longitude: float) -> bool:
        inside = False
        for outline in OUTLINES:
            for (x1, y1), (x2, y2) in pairwise(outline):
                is_between = (y1 > latitude) != (y2 > latitude)
                if is_between and longitude < (x2 - x1) * (latitude - y1) / (y2 - y1) + x1:
                    inside = not inside
        return inside

    assert all(outline[0] == outline[-1] for outline in OUTLINES)
    inland = {
        "Alice Springs": (-23.70, 133.88),
        "Canberra": (-35.28, 149.13),
        "Longreach": (-23.44, 144.25),
        "Kalgoorlie": (-30.75, 121.47),
        "Katherine": (-14.46, 132.26),
        "Launceston": (-41.44, 147.14),
        "Mildura": (-34.19, 142.16),
    }
    assert all(is_land(*at) for at in inland.values())
    sea = [(-33, 128), (-20, 115), (-14, 139), (-40, 146.5), (-30, 155), (-36, 136), (-44, 146)]
    assert not any(is_land(*at) for at in sea)
