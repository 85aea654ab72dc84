"""Answers with a thumb each, as the service logs them."""

from __future__ import annotations

import time

from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef


def answer_and_vote(
    number: int, name: str = "", user: str = "u", text: str = "text"
) -> tuple[LoggedResponse, Feedback]:
    """Answer `r<number>`, or `name`, to `text`, and its thumb `f<number>` by `user`, of now."""
    name = name or f"r{number}"
    now_us = time.time_ns() // 1_000
    served = ClassifyAnswer(text, 0, "a", (1.0,), 0.0, ("a",))
    version = VersionRef("p", "v", "d")
    return (
        LoggedResponse(name, "q", version, Channel.CHAMPION, "", user, "", now_us, "", served),
        Feedback(f"f{number}", name, user, "", "p", "v", FeedbackKind.THUMB, now_us, thumb_up=True),
    )
