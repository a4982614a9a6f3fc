"""The form of a feature as ``--feature`` says it."""

import pytest

from a20_parquet.windows.feature_forms import FeatureRequest
from a20_parquet.windows.schema import FeatureKind, FeatureScope

RECORD, WINDOW, CHANNEL = FeatureScope


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label", FeatureRequest("label")),
        ("a:b", FeatureRequest("a:b")),
        ("a:record", FeatureRequest("a", scope=RECORD)),
        ("a:b:float[3]:window", FeatureRequest("a:b", FeatureKind.FLOAT, 3, WINDOW)),
        ("a:channel:string", FeatureRequest("a", FeatureKind.STRING, 0, CHANNEL)),
        ("record", FeatureRequest("record")),
        ("a:Record", FeatureRequest("a:Record")),
        ("a:float[]", FeatureRequest("a:float[]")),
    ],
)
def test_what_is_told(text: str, expected: FeatureRequest) -> None:
    """Kind and scope are read from the end; any other colon belongs to the name."""
    assert FeatureRequest.parse(text) == expected
