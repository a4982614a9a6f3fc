"""Invented embeddings with the daily rhythm of a soundscape: dawn chorus, birds, insects, rain."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Heard: TypeAlias = list[tuple[str, int, int]]
"""Sounds of a record: name, first window, and one past the last."""

DAWN_CHORUS, INSECTS, RAIN = "dawn chorus", "insects", "rain"
_HOURS = 24
_BIRDS = 8
_BOUTS = 3
_LONGEST_BOUT = 6
_NOISE_RECORDS = 64
# A wind-still and a stormy minute differ by this much in level.
_CALM, _GUSTY = 0.6, 1.5
_SEPARATED_BACKGROUND = 0.3
# The probability of a sound in a minute, by local hour from midnight.
_CHORUS = (0.0,) * 4 + (0.5, 0.95, 0.7, 0.2) + (0.0,) * 16
_INSECTS = (0.9,) * 4 + (0.5, 0.1) + (0.0,) * 11 + (0.1, 0.5, 0.9, 0.95, 0.95, 0.95, 0.9)
_DAYLIGHT = (0.0,) * 5 + (0.3,) + (1.0,) * 11 + (0.8, 0.3) + (0.0,) * 5
_RAINY_DAYS = 0.5
_FIRST_RAIN_HOUR, _RAIN_HOURS = 13, 6


class Soundscape:
    """Draws the embeddings of one record after another.

    A window is its site's background and noise, and what is heard in it. The dawn chorus lasts for
    most of a minute, insects and rain for all of it; a bird calls for a few windows. The same sound
    at another site is the same vector, so a nearest-neighbour search finds it there.
    """

    def __init__(self, *, sites: int, days: int, shape: tuple[int, int, int], seed: int) -> None:
        """Invent sites and sounds.

        Args:
            sites: number of sites.
            days: number of days with a weather of their own.
            shape: windows, channels and dims of a record.
            seed: the same seed gives the same records.
        """
        windows, channels, dims = shape
        # Only sums and products of uniform numbers: unlike exponentials and powers, they have the
        # same bits on every processor.
        draw = np.random.default_rng([seed, 0])
        everywhere = _skewed(draw, (1, dims)) * np.float32(0.12)
        self._backgrounds: Floats = _skewed(draw, (sites, dims)) * np.float32(0.07) + everywhere
        self._sounds: dict[str, Floats] = {
            name: _skewed(draw, (1, dims))[0] * np.float32(size)
            for name, size in ((DAWN_CHORUS, 0.34), (INSECTS, 0.26), (RAIN, 0.42))
        }
        self._birds: Floats = _skewed(draw, (_BIRDS, dims)) * np.float32(0.32)
        self._chances = _calling_chances(draw, sites)
        self._rains = _rains(draw, days)
        self._shape = shape
        self._values = windows * channels * dims
        pool = draw.random(self._values * _NOISE_RECORDS, dtype=np.float32)
        self._noise: Floats = pool * pool * np.float32(1.8) + np.float32(0.4)
        self._record: Floats = np.empty(self._shape, np.float32)

    def record(
        self, draw: np.random.Generator, site: int, day: int, hour: int
    ) -> tuple[Floats, Heard]:
        """Return the windows of one record.

        Args:
            draw: of random numbers; each record takes as many.
            site: index of the site.
            day: local day, 0 for the first; later ones than ``days`` have the weather of the first.
            hour: local hour from 0 to 23.

        Returns:
            float32 of shape (windows, channels, dims), not negative, which the next call
            overwrites; and what is heard.
        """
        start, level, chorus, insects, rain, *bouts = draw.random(5 + 5 * _BOUTS).tolist()
        background = self._backgrounds[site] * np.float32(_CALM + (_GUSTY - _CALM) * level)
        # A span at any offset of the pool: drawing every number would take longer than writing.
        at = int(start * (self._noise.size - self._values))
        noise = self._noise[at : at + self._values].reshape(self._shape)
        np.multiply(noise, background, out=self._record)
        self._record[:, 1:] *= np.float32(_SEPARATED_BACKGROUND)
        windows = self._shape[0]
        heard: Heard = []
        if insects < _INSECTS[hour]:
            heard.append(self._hear(INSECTS, 0, windows, 0.7 + insects / 2))
        if rain < 0.95 * self._rains[day % len(self._rains), hour]:
            heard.append(self._hear(RAIN, 0, windows, 0.7 + rain / 2))
        if chorus < _CHORUS[hour]:
            pause = int(start * windows / 4)
            heard.append(self._hear(DAWN_CHORUS, pause, windows, 0.8 + chorus / 2))
        for bout in range(_BOUTS):
            species, *rest = bouts[5 * bout : 5 * bout + 5]
            heard += self._call(int(species * _BIRDS), self._chances[site, hour], bout, rest)
        return self._record, heard

    def _hear(self, name: str, first: int, end: int, loudness: float) -> tuple[str, int, int]:
        """Add a sound to some windows of the raw audio and of the first separated channel."""
        sound = self._sounds[name] * np.float32(loudness)
        self._record[first:end, 0] += sound
        if self._shape[1] > 1:
            self._record[first:end, 1] += sound
        return name, first, end

    def _call(
        self, species: int, chances: NDArray[np.float64], bout: int, dice: list[float]
    ) -> Heard:
        """Add a bird's call to some neighbouring windows, with its probability."""
        windows, channels, _ = self._shape
        happens, start, length, loudness = dice
        if happens >= chances[species]:
            return []
        first = int(start * windows)
        end = min(first + 1 + int(length * _LONGEST_BOUT), windows)
        call = self._birds[species] * np.float32(0.7 + 0.8 * loudness)
        self._record[first:end, 0] += call
        if channels > 1:
            self._record[first:end, 1 + bout % (channels - 1)] += call
        return [(f"bird {species + 1}", first, end)]


def _skewed(draw: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return values from 0 to 1 with a long tail; none is denormal, which would be slow."""
    uniform = draw.random(shape, dtype=np.float32) * np.float32(0.95) + np.float32(0.05)
    squared = uniform * uniform
    result: Floats = squared * squared * squared
    return result


def _calling_chances(draw: np.random.Generator, sites: int) -> NDArray[np.float64]:
    """Return the probability of calls, shape (sites, hours, birds).

    Each bird lives at about half of the sites, has its hour of the day, and is silent at night.
    """
    lives = draw.random((sites, 1, _BIRDS)) < 0.5  # noqa: PLR2004
    peak = draw.integers(6, 18, _BIRDS)
    apart = np.abs(np.arange(_HOURS)[:, None] - peak)
    eagerness = (1 - np.minimum(apart, 12) / 12) * np.array(_DAYLIGHT)[:, None]
    chances: NDArray[np.float64] = lives * 0.8 * eagerness * eagerness
    return chances


def _rains(draw: np.random.Generator, days: int) -> NDArray[np.bool_]:
    """Return when it rains, shape (days, hours): a shower of some hours on some afternoons."""
    falls = draw.random(days) < _RAINY_DAYS
    begin = _FIRST_RAIN_HOUR + draw.integers(0, _RAIN_HOURS, days)
    hours = np.arange(_HOURS)
    lasts = (hours >= begin[:, None]) & (hours < begin[:, None] + draw.integers(2, 5, (days, 1)))
    rains: NDArray[np.bool_] = falls[:, None] & lasts
    return rains
