"""Errors are named after what must happen next, not after where they came from."""


class FksError(Exception):
    """Base of what leaves a component on purpose."""


class Fatal(FksError):
    """Configuration, journal or a vital actor is broken. Stop; systemd or a human must act."""

    exit_code = 70


class Misconfigured(Fatal):
    """The configuration holds, but this account can never work with it. A restart would not help."""

    exit_code = 78


class Transient(FksError):
    """A question (never a placement) got no answer. Asking again is safe."""


class Overloaded(FksError):
    """Nothing was accepted; the sender should come again in `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: float = 5.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StaleClaim(FksError):
    """The order was claimed anew since the claim that this change is about: the change is void."""


class PlacementError(FksError):
    """Base of all that can become of a request to place or cancel an order but success."""


class NotSent(PlacementError):
    """Provably not a byte reached the exchange, or it refused to look (rate limit). Safe to send again.

    `retry_after`: seconds the exchange asked us to wait, 0 when it did not say.
    `frozen`: the exchange banned us (418); nothing at all may be sent for `retry_after` seconds.
    """

    def __init__(self, detail: str, *, retry_after: float = 0.0, frozen: bool = False) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.frozen = frozen


class Throttled(NotSent):
    """Our own rate limit has no room for it within `retry_after` seconds; the exchange was not asked."""


class Rejected(PlacementError):
    """The exchange said no, provably: the order does not exist and never will."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Unknown(PlacementError):
    """The order may or may not exist. Never send it again: look it up."""


class Refusal(FksError):
    """We said no, before anything was sent. `code` is stable and dotted, `detail` is for a human.

    `field` names the alert's field at fault where there is one.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
