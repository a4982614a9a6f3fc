"""What the parts of a manifest are made of."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_MOST: Final = (1 << 63) - 1

Count = Annotated[int, Field(ge=0, le=_MOST)]
Instant = Annotated[int, Field(ge=-_MOST, le=_MOST)]
Hertz = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FrozenModel(BaseModel):
    """A validated value that has no other fields than the declared ones."""

    # Most processes use few of the models, and building one takes a millisecond.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
