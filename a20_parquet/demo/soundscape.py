"""Invented embeddings that are similar for the same site, hour or species."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

_HOURS = 24
_SPECIES = 16
_BOUTS = 3
_LONGEST_BOUT = 6
_NOISE_RECORDS = 64
# A wind-still and a stormy minute differ by this much in level.
_CALM, _GUSTY = 0.6, 1.5
_SEPARATED_BACKGROUND = 0.3


class Soundscape:
    """Draws the embeddings of one record after another.

    A window is its site's background, with a share for the time of day and noise. In some, a
    species calls for a few consecutive windows. The same call at another site is the same vector,
    so a nearest-neighbour search finds it there.
    """

    def __init__(self, *, sites: int, windows: int, channels: int, dims: int, seed: int) -> None:
        # Only sums and products of uniform numbers: unlike exponentials and powers, they have the
        # same bits on every processor.
        draw = np.random.default_rng([seed, 0])
        everywhere = _skewed(draw, (1, dims)) * np.float32(0.07)
        self._backgrounds: Floats = _skewed(draw, (sites, dims)) * np.float32(0.11) + everywhere
        day, night = _skewed(draw, (2, dims)) * np.float32(0.07)
        darkness = np.abs(np.arange(_HOURS, dtype=np.float32) - 12)[:, None] / 12
        self._tints: Floats = day * (1 - darkness) + night * darkness
        self._calls: Floats = _skewed(draw, (_SPECIES, dims)) * np.float32(0.32)
        self._chances = _calling_chances(draw, sites)
        self._shape = (windows, channels, dims)
        self._values = windows * channels * dims
        pool = draw.random(self._values * _NOISE_RECORDS, dtype=np.float32)
        self._noise: Floats = pool * pool * np.float32(1.8) + np.float32(0.4)
        self._record: Floats = np.empty(self._shape, np.float32)

    def record(self, draw: np.random.Generator, site: int, hour: int) -> Floats:
        """Return the windows of one record, of the site's index and an hour from 0 to 23.

        Returns:
            float32 of shape (windows, channels, dims), not negative. The next call overwrites it.
        """
        start, level, *bouts = draw.random(2 + 5 * _BOUTS).tolist()
        background = self._backgrounds[site] * np.float32(_CALM + (_GUSTY - _CALM) * level)
        background += self._tints[hour]
        # A span at any offset of the pool: drawing every number would take longer than writing.
        at = int(start * (self._noise.size - self._values))
        noise = self._noise[at : at + self._values].reshape(self._shape)
        np.multiply(noise, background, out=self._record)
        self._record[:, 1:] *= np.float32(_SEPARATED_BACKGROUND)
        for bout in range(_BOUTS):
            species, *rest = bouts[5 * bout : 5 * bout + 5]
            self._call(int(species * _SPECIES), self._chances[site, hour], bout, rest)
        return self._record

    def _call(
        self, species: int, chances: NDArray[np.float64], bout: int, dice: list[float]
    ) -> None:
        """Add a species' call to some neighbouring windows, with its probability."""
        windows, channels, _ = self._shape
        happens, start, length, loudness = dice
        if happens >= chances[species]:
            return
        first = int(start * windows)
        heard = slice(first, first + 1 + int(length * _LONGEST_BOUT))
        call = self._calls[species] * np.float32(0.7 + 0.8 * loudness)
        self._record[heard, 0] += call
        if channels > 1:
            self._record[heard, 1 + bout % (channels - 1)] += call


def _skewed(draw: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return values from 0 to 1 with a long tail; none is denormal, which would be slow."""
    uniform = draw.random(shape, dtype=np.float32) * np.float32(0.95) + np.float32(0.05)
    squared = uniform * uniform
    result: Floats = squared * squared * squared
    return result


def _calling_chances(draw: np.random.Generator, sites: int) -> NDArray[np.float64]:
    """Return the probability of calls, shape (sites, hours, species).

    Each species lives at about half of the sites and has its hour of the day.
    """
    lives = draw.random((sites, 1, _SPECIES)) < 0.5  # noqa: PLR2004
    peak = draw.integers(0, _HOURS, _SPECIES)
    apart = np.abs(np.arange(_HOURS)[:, None] - peak)
    eagerness = 1 - np.minimum(apart, _HOURS - apart) / 12
    chances: NDArray[np.float64] = lives * (0.05 + 0.85 * eagerness * eagerness)
    return chances
