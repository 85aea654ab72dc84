"""Whether a correction fits the answer it corrects: of its sort, of labels that its version knows, a tag a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from thumbwheel.bus.port import REQUESTS
from thumbwheel.feedback import validate
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.tokens import TokenClaims
from thumbwheel.records import ClassifyAnswer, Edit, LoggedResponse, PolicyKind, TagAnswer
from thumbwheel.store.port import FeedbackStore


class Corrections:
    """Checks corrections against the version that answered, which need not be served any more.

    Versions that are served tell their labels; of others the answer itself is read, which was logged with the labels
    it was chosen from. How many words an answer has tags for only the answer itself can tell.
    """

    def __init__(
        self,
        kind_of: Callable[[str], PolicyKind | None],
        labels_of: Callable[[str, str], Sequence[str]],
        store: FeedbackStore,
        progress: IngestProgress,
    ) -> None:
        """Ask `kind_of` a policy (None: not known here), `labels_of` a version (none: not served here), or `store`."""
        self._kind_of = kind_of
        self._labels_of = labels_of
        self._store = store
        self._progress = progress

    async def check(self, edit: Edit, response_id: str, claims: TokenClaims) -> None:
        """Refuse a correction that can't be right.

        Raises:
            InvalidInput: it is not of the answer's sort, names a label that there is not, or has too many or few tags.
            Unavailable: the answer is still on its way to the store, so its labels or words can't be known yet.
        """
        kind = self._kind_of(claims.policy)
        if kind:
            validate.edit_fits(edit, kind)
        if edit.label:
            labels = self._labels_of(claims.policy, claims.policy_version)
            validate.label_exists(edit.label, labels or await self._logged_labels(response_id))
        if edit.tags:
            logged = await self._logged(response_id)
            if logged and isinstance(logged.answer, TagAnswer):
                validate.tags_fit(edit.tags, logged.answer.labels, len(logged.answer.tokens))

    async def _logged_labels(self, response_id: str) -> Sequence[str]:
        """The labels an answer was chosen from; none if it was erased."""
        logged = await self._logged(response_id)
        return logged.answer.labels if logged and isinstance(logged.answer, ClassifyAnswer) else ()

    async def _logged(self, response_id: str) -> LoggedResponse | None:
        """The answer, after waiting for what is on its way; None if it was erased."""
        logged = await self._response(response_id)
        if logged is None:
            await self._progress.caught_up([REQUESTS])
            logged = await self._response(response_id)
        return logged

    async def _response(self, response_id: str) -> LoggedResponse | None:
        return await asyncio.to_thread(self._store.response, response_id)
