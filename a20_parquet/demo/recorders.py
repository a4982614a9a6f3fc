"""Invented recorders, with names as the Australian Acoustic Observatory (A2O) gives them."""

import itertools
from dataclasses import dataclass

_FIRST_SITE_ID = 201
_ALL_FOUR = ("Dry-A", "Wet-A", "Dry-B", "Wet-B")
_DRY = ("Dry-A", "Dry-B")
_PAIR = ("Dry-A", "Wet-A")
_THREE = ("Dry-A", "Wet-A", "Dry-B")

# Place, offset in its filenames, minutes that its local time is ahead of UTC, its recorders.
_PLACES: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("Mulga-Flat", "+1000", 600, _ALL_FOUR),
    ("Saltbush-Station-Reserve", "+1030", 630, _PAIR),
    ("Corella-Gorge-National-Park", "+0930", 570, _THREE),
    ("Karri-Hollow", "+0800", 480, _ALL_FOUR),
    ("Snowgum-Plateau", "+1100", 660, _PAIR),
    ("SEQP-Bunya-Creek", "+1000", 600, _ALL_FOUR),
    ("Lancewood-Springs", "Z", 570, _DRY),
    ("Brolga-Swamp", "+1000", 600, _THREE),
    ("Gibber-Track-A", "+1030", 630, _ALL_FOUR),
    ("Gibber-Track-B", "+1030", 630, _PAIR),
    ("Spinifex-Range", "+0800", 480, _PAIR),
    ("Antechinus-Ridge", "+1100", 660, _ALL_FOUR),
    ("Coolabah-Crossing", "+1000", 600, _PAIR),
    ("Wallum-Heath", "Z", 600, _THREE),
    ("Pandanus-Lagoon", "+0930", 570, _ALL_FOUR),
    ("Ironbark-Gully", "+1000", 600, _PAIR),
    ("Bettong-Woodland-Sanctuary", "+1030", 630, _DRY),
    ("Treefern-Valley", "+1100", 660, _THREE),
    ("Brigalow-Park", "+1000", 600, _ALL_FOUR),
    ("Jarrah-Block", "+0800", 480, _PAIR),
    ("Magpie-Goose-Billabong", "+0930", 570, _DRY),
    ("Malleefowl-Dunes", "+1030", 630, _ALL_FOUR),
    ("Cassowary-Falls", "+1000", 600, _PAIR),
    ("Lyrebird-Rainforest", "+1100", 660, _THREE),
    ("Old-Shearers-Quarters", "Z", 630, _PAIR),
    ("Bluebush-Plain", "+1030", 630, _ALL_FOUR),
    ("Quokka-Bay", "+0800", 480, _DRY),
    ("Tallowwood-State-Forest", "+1000", 600, _PAIR),
    ("Ghostgum-Bore", "+0930", 570, _THREE),
    ("Mangrove-Point-Wetland", "+1000", 600, _ALL_FOUR),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """One recorder: a site of the A2O."""

    site_id: int
    """Number of the folder ``site_NNNN/``."""
    name: str
    """The part between time and id in a filename: ``Mulga-Flat-Dry-A``."""
    offset: str
    """UTC offset in the filename: ``+1030``, or ``Z`` for UTC."""
    clock_minutes: int
    """Minutes to add to the filename's time to get the local time."""


def demo_recorders(count: int) -> list[Recorder]:
    """Return ``count`` recorders; once all places are used, they get numbered plots."""
    site_ids = itertools.count(_FIRST_SITE_ID)
    recorders = (
        Recorder(
            site_id=next(site_ids),
            name=f"{place}{'' if plot == 1 else f'-{plot}'}-{subsite}",
            offset=offset,
            clock_minutes=ahead_minutes if offset == "Z" else 0,
        )
        for plot in itertools.count(1)
        for place, offset, ahead_minutes, subsites in _PLACES
        for subsite in subsites
    )
    return list(itertools.islice(recorders, count))
