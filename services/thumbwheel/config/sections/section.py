"""What every section has in common."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """Settings that belong together: frozen, and a name that is not among them is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `true` where a number belongs, which would be taken as 1."""
        if isinstance(value, bool):
            kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
            if kinds & {int, float} and bool not in kinds:
                raise PydanticCustomError("not_a_number", "must be a number")
        return value


def _kinds(annotation: object) -> set[object]:
    """The bare types that an annotation names."""
    bare = getattr(annotation, "__origin__", annotation)
    return {bare}.union(*map(_kinds, get_args(annotation)))
