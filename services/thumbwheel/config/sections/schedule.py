"""When runs start by themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field, field_validator

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Seconds, Votes


class Schedule(Section):
    """When a run starts by itself. With all of these empty, runs start only when asked for."""

    cron: str = Field("", description="Cron expression of five fields, UTC, for example `0 3 * * *`; empty: none.")
    min_new_votes: Votes = Field(
        0,
        ge=0,
        description="Start when this many new votes are in, of the kinds that the policy learns from; 0: not by votes. "
        "With too few in all (`data.min_votes_classify` and its like) a run ends and says so.",
    )
    min_new_votes_of: str = Field(
        "",
        description="Policies with another such number, for example `intents=4000, replies=2500`; 0: not by votes.",
    )
    check_s: Seconds = Field(2.0, gt=0, le=3600, description="Seconds between looks at the schedule.")

    @field_validator("cron")
    @classmethod
    def _cron_expression(cls, cron: str) -> str:
        from cronsim import CronSim, CronSimError  # only where there is an expression to check

        try:
            if cron and (len(cron.split()) != 5 or not CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))):
                raise CronSimError
        except CronSimError as error:
            raise ValueError("must be a cron expression of five fields, for example `0 3 * * *`") from error
        return cron

    @field_validator("min_new_votes_of")
    @classmethod
    def _votes_of_policies(cls, text: str) -> str:
        _numbers(text)
        return text

    def of(self, policy: str) -> Schedule:
        """The schedule of one policy: `min_new_votes` is its own."""
        number = _numbers(self.min_new_votes_of).get(policy, self.min_new_votes)
        return self.model_copy(update={"min_new_votes": number, "min_new_votes_of": ""})


def _numbers(text: str) -> dict[str, int]:
    """The numbers of `policy=number, policy=number`. Raises ValueError."""
    numbers = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        policy, _, number = (part.strip() for part in entry.partition("="))
        if not policy or not number.isdecimal():
            raise ValueError(f"must be policies with whole numbers, for example `intents=4000`, got `{entry}`")
        numbers[policy] = int(number)
    return numbers
