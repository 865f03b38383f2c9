"""Where the two sides differ, in words that say where to look."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct

from conformance.calls import Call
from conformance.recorder import Recorder, Reply, Wire, recording
from conformance.sides import Outcome, ours, upstream

_BEFORE, _SHOWN = 40, 200  # characters of a value: before the first that differs, and in all


class Difference(Struct, frozen=True, kw_only=True):
    """`reply`: the name of what the recorder answered. `what`: one line a difference."""

    exchange: str
    reply: str
    method: str
    arguments: str
    what: list[str]


class Verdict(Struct, frozen=True, kw_only=True):
    """Of one exchange. `requests`: of upstream; `placements`: its calls of create_order that sent any."""

    exchange: str
    calls: int
    requests: int
    placements: int
    differences: list[Difference]


def compare(exchange_id: str, todo: Sequence[Call], replies: Mapping[str, Reply]) -> Verdict:
    """Do all of `todo` on both sides, once for each of the replies."""
    requests = placements = 0
    differences = []
    with recording() as recorder:
        for name, recorder.reply in replies.items():
            for (method, args), expected, found in _both(exchange_id, todo, recorder):
                requests += len(expected.requests)
                placements += method == "create_order" and bool(expected.requests)
                if what := different(expected, found):
                    difference = Difference(
                        exchange=exchange_id, reply=name, method=method, arguments=str(args), what=what
                    )
                    differences.append(difference)
    return Verdict(
        exchange=exchange_id,
        calls=len(todo) * len(replies),
        requests=requests,
        placements=placements,
        differences=differences,
    )


def _both(exchange_id: str, todo: Sequence[Call], recorder: Recorder) -> list[tuple[Call, Outcome, Outcome]]:
    expected = upstream(exchange_id, todo, recorder)
    return list(zip(todo, expected, ours(exchange_id, todo, recorder), strict=True))


def different(expected: Outcome, found: Outcome) -> list[str]:
    """One line for each thing that is not equal; none when all is."""
    lines = [] if expected.result == found.result else [_line("result", expected.result, found.result)]
    for index, (one, other) in enumerate(zip_longest(expected.requests, found.requests), 1):
        lines += [f"request {index}: {line}" for line in _different_requests(one, other)]
    return lines


def _different_requests(expected: Wire | None, found: Wire | None) -> list[str]:
    if expected is None or found is None:
        return [_line("sent", _title(expected), _title(found))]
    lines = [
        _line(name, one, other)
        for name, one, other in zip(Wire._fields, expected, found, strict=True)
        if one != other and name != "headers"
    ]
    missing, added = set(expected.headers) - set(found.headers), set(found.headers) - set(expected.headers)
    return lines + ([_line("headers", sorted(missing), sorted(added))] if missing or added else [])


def _title(request: Wire | None) -> str:
    return "nothing" if request is None else f"{request.method} {request.target}"


def _line(name: str, expected: object, found: object) -> str:
    pair = str(expected), str(found)
    apart = next((index for index, (one, other) in enumerate(zip(*pair, strict=False)) if one != other), 0)
    start = max(0, apart - _BEFORE)
    one, other = (("..." if start else "") + text[start : start + _SHOWN] for text in pair)
    return f"{name}: upstream {one} | ours {other}"
