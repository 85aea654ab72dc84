"""Answers with a thumb each, as the service logs them."""

from __future__ import annotations

import time

from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef


def answer_and_vote(number: int) -> tuple[LoggedResponse, Feedback]:
    """Answer `r<number>` and its thumb `f<number>` by `u`, of now."""
    now_us = time.time_ns() // 1_000
    served = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
    version = VersionRef("p", "v", "d")
    return (
        LoggedResponse(f"r{number}", "q", version, Channel.CHAMPION, "", "u", "", now_us, "", served),
        Feedback(f"f{number}", f"r{number}", "u", "", "p", "v", FeedbackKind.THUMB, now_us, thumb_up=True),
    )
