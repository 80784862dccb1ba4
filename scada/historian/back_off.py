"""How long to leave a destination alone after it did not take a body."""

import random

import attrs

from scada.historian.answers import Answer, Verdict


@attrs.frozen
class BackOff:
    """Full jitter: a random wait below a ceiling that doubles. [s, real]"""

    first: float = 1.0
    most: float = 300.0
    most_refused: float = 30.0                      # a person may put it right at any moment

    def wait(self, failures: int, answer: Answer) -> float:
        if answer.retry_after:                      # 0, which proxies say, would be an endless hurry
            return min(answer.retry_after, self.most)
        most = self.most_refused if answer.verdict is Verdict.REFUSED else self.most
        return random.uniform(0.0, min(self.first * 2.0 ** min(failures, 20), most))
