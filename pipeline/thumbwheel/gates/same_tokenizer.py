"""Does the candidate read and write as the champion does?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.ope.intervals import wilson
from thumbwheel.records import GateResult

LEAST_TEXTS = 30
NONE_ALLOWED = 0.0


class SameTokenizer:
    """Share of held-out prompts and replies that the candidate's tokenizer turns into other tokens, or other text.

    Every other gate scores the tokens that were logged, and so would not see it. The interval is Wilson's.
    """

    name = "same_tokenizer"
    title = "Reads and writes alike"
    rule = Rule.AT_MOST
    unit = "share of texts"
    why = "Weights mean nothing with another tokenizer, and votes collected before can't teach what comes after."
    setting = ""
    cure = "Publish the version with the champion's tokenizer, or begin a policy of another name with it."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Count the texts that differ."""
        texts = len(evidence.reads_alike)
        if texts < LEAST_TEXTS:
            few = f"There are only {texts} held-out texts, and it takes {LEAST_TEXTS} to say anything."
            return refuse(self.name, NONE_ALLOWED, few)
        other = texts - sum(evidence.reads_alike)
        share = wilson(other, texts, limits.confidence)
        sentence = f"Its tokenizer reads or writes {other:,} of {texts:,} texts in another way than the champion's."
        return GateResult(self.name, not other, share.value, NONE_ALLOWED, share.low, share.high, sentence)
