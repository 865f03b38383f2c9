"""An exchange that writes down what it is sent and says nothing of use: `{}` to everything."""

from standins.account import Instrument
from standins.book import Book
from standins.server import Answer, Request, StandIn, json_answer

NO_INSTRUMENTS: tuple[Instrument, ...] = ()


class Recorder(StandIn):
    """For contract tests of what is put on the wire. `answers`: by the end of a path, instead of `{}`."""

    placing = ()
    answers: dict[str, object]

    @staticmethod
    def make_book() -> Book:
        return Book(NO_INSTRUMENTS, {})

    def reply(self, request: Request) -> Answer:
        told = getattr(self, "answers", {})
        return json_answer(next((said for end, said in told.items() if request.path.endswith(end)), {}))

    def wire(self) -> list[str]:
        """Every request as one line: method, target, body."""
        return [f"{one.method} {one.target} {one.body.decode()}" for one in self.requests]

    def changes(self) -> list[str]:
        """Those that are no questions; hyperliquid's questions are POSTs."""
        return [line for line in self.wire() if not line.startswith(("GET", "POST /info"))]
