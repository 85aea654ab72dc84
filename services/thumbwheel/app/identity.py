"""Who users are to the service, and how their answers are signed: from the keys that its processes share."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import Keys
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys at work."""

    raters: Raters
    signer: TokenSigner

    @classmethod
    def of(cls, keys: Keys, settings: Settings) -> Identity:
        """Make it from the service's keys."""
        return cls(Raters(keys.user_key), TokenSigner(keys, settings.feedback.token_ttl_s))
