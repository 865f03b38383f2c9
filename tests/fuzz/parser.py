"""The reader of alerts, in this process: whatever the bytes are, it accepts them or says why not."""

import time
from collections import Counter
from itertools import count

from fks.domain.auth import Denied
from fks.domain.errors import Refusal
from fks.domain.gate import GateRules
from fks.domain.secret import Secret
from fks.domain.settings import WebhookSecret, WebhookSettings
from fuzz.bodies import Bodies
from makers import admit

SECRET = Secret("a-secret-for-the-fuzzer-24-bytes")
_SIGNED = 0.8  # the reader of an alert comes behind the check of who sent it


def fuzz(seed: int, *, seconds: float = 60.0, most: int | None = None) -> Counter[str]:
    """What became of the bodies: `accepted`, `denied`, or the refusal's code.

    Raises AssertionError, with the body, as soon as one brings anything else about.
    """
    secrets = (WebhookSecret(name="fuzz", secret=SECRET),)
    rules = GateRules(secrets, WebhookSettings(), frozenset({"paper"}), "paper")
    bodies, end, outcomes = Bodies(f"{seed}", SECRET, _SIGNED), time.monotonic() + seconds, Counter[str]()
    for number in count():
        if number == most or time.monotonic() > end:
            return outcomes
        body, headers = bodies.next()
        named = {name.lower(): text for name, text in headers}
        try:
            admit(named, body, rules, lambda _account: None, time.time())
        except Denied:
            outcomes["denied"] += 1
        except Refusal as refusal:
            outcomes[refusal.code or f"nameless: {body!r}"] += 1
        except Exception as error:
            raise AssertionError(f"body {number} of seed {seed}: {error!r} for {headers} {body!r}") from error
        else:
            outcomes["accepted"] += 1
    raise AssertionError("unreachable")
