"""What the first pass noticed, merged over shards and units."""

from itertools import permutations

from a20_parquet.conversion.observations import Observations


def test_merged_is_independent_of_order_and_grouping() -> None:
    """However shards are divided into units, the same is noticed."""
    several = [Observations(other_features=names) for names in (("b", "c"), (), ("a", "b"))]
    expected = Observations(other_features=("a", "b", "c"))
    for one, two, three in permutations(several):
        assert Observations.merged([one, two, three]) == expected
        assert Observations.merged([Observations.merged([one, two]), three]) == expected
    assert Observations.merged([]) == Observations()
