"""Logs and metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section


class Telemetry(Section):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    log_format: Literal["console", "json"] = Field("console", description="For people, or for machines.")
    log_user_text: bool = Field(False, description="Write users' texts into the process log. Off protects them.")
