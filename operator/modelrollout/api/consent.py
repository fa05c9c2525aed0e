"""What has to be there before a stage begins, beside its gates: people's consent."""

from typing import Annotated

from pydantic import Field

from modelrollout.api.fields import Model, Text

MAX_GROUPS = 10


class Approval(Model):
    """How many people have to agree before a stage begins, and who may."""

    required: int = Field(ge=1, le=10, description="How many different people.")
    groups: Annotated[list[Text], Field(min_length=1, max_length=MAX_GROUPS)] | None = Field(
        None, description="Groups of which an approver must be in one; anybody who may write control when left out."
    )
    separation_of_duties: bool = Field(
        default=False, description="Whoever edited spec last does not count: annotation modelrollout.dev/edited-by."
    )
