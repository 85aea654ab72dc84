"""Who may vote on an answer, and how fast."""

from __future__ import annotations

from thumbwheel.errors import InvalidInput, TokenMissing, TokenRefused
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenClaims, TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.records import is_anonymous


class Voters:
    """Who may vote: tokens, pseudonyms and the pace of each rater."""

    def __init__(self, tokens: TokenSigner, raters: Raters, limits: RaterLimits, anonymous: RaterLimits) -> None:
        """Judge by these; `anonymous` is the pace of those without a user id.

        They are as many as there are answers, so they have a memory of their own and push nobody else out of
        `limits`. One bucket for all of them would let one who floods silence the others; what he sends weighs
        little, because learning counts all of them as one rater.
        """
        self._tokens = tokens
        self._raters = raters
        self._limits = limits
        self._anonymous = anonymous

    def admit(self, response_id: str, token: str, user_id: str, now_us: int) -> tuple[str, TokenClaims]:
        """Return the rater of an answer and what the token claims. Raises TokenMissing, TokenRefused, Overloaded."""
        rater = self._raters.rater(user_id, response_id)
        claims = self._tokens.verify(token, response_id, rater, now_us)
        self._take(rater)
        return rater, claims

    def admit_ranking(self, ranking: pb.Ranking, user_id: str, now_us: int) -> tuple[str, str, TokenClaims]:
        """Return the candidate under which the ranking is kept, its rater, and what its token claims.

        That is the candidate of smallest id, whatever the order, so that ranking again replaces the ranking.
        Raises what `admit` raises, and InvalidInput when the candidates are not all of one request.
        """
        claims = [self._verify(index, one, user_id, now_us) for index, one in enumerate(ranking.best_first)]
        stranger = next((index for index, claim in enumerate(claims) if claim.request != claims[0].request), None)
        if stranger is not None:
            raise InvalidInput(
                f"ranking.best_first[{stranger}].response_id",
                "is a candidate of another request than the first; rank candidates of one request",
            )
        holder = min(candidate.response_id for candidate in ranking.best_first)
        rater = self._raters.rater(user_id, holder)
        self._take(rater)
        return holder, rater, claims[0]

    def give_back(self, rater: str) -> None:
        """Don't count the rater's last vote against its pace: it was not taken."""
        self._limits_of(rater).give_back(rater)

    def _take(self, rater: str) -> None:
        self._limits_of(rater).take(rater)

    def _limits_of(self, rater: str) -> RaterLimits:
        return self._anonymous if is_anonymous(rater) else self._limits

    def _verify(self, index: int, candidate: pb.RankedCandidate, user_id: str, now_us: int) -> TokenClaims:
        rater = self._raters.rater(user_id, candidate.response_id)
        try:
            return self._tokens.verify(candidate.feedback_token, candidate.response_id, rater, now_us)
        except (TokenMissing, TokenRefused) as error:
            raise type(error)(f"ranking.best_first[{index}].{error}") from error
