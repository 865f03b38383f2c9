"""Ours and upstream, taking turns against one local exchange: CPU and rate of orders, memory."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec import Struct, convert

from fks.bench.process import Child, running

SIDES = ("ours", "upstream")
IN_FLIGHT = (1, 10, 50)
ROUNDS = 10
MARKETS = 2_000
WARM_UP_S = 0.2

HOW = (
    "create_order of a market buy on ccxt's binance against a local exchange without latency, the rate "
    f"limiters on and never full; each side one process, taking turns in {ROUNDS} rounds. Medians of the "
    "rounds; ratios are medians of each round's ratio. CPU per order: user and system of the client's "
    "process, all its threads. Memory: resident size of that process after the import, and after loading "
    f"{MARKETS:,} markets."
)


class Orders(Struct, frozen=True, kw_only=True):
    """What `in_flight` tasks that place one order after another came to."""

    in_flight: int
    orders: int
    cpu_ms_per_order: float
    orders_per_s: float


class Sample(Struct, frozen=True, kw_only=True):
    """One turn, as the client tells it."""

    orders: int
    seconds: float
    cpu_s: float

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s * 1000 / self.orders

    @property
    def rate(self) -> float:
        return self.orders / self.seconds


class Side(Struct, frozen=True, kw_only=True):
    """Memory in MiB."""

    import_mb: float
    loaded_mb: float
    orders: tuple[Orders, ...]


class Ratio(Struct, frozen=True, kw_only=True):
    """`cpu`, `rate`: how many times cheaper and faster ours is."""

    in_flight: int
    cpu: float
    rate: float


class VenueReport(Struct, frozen=True, kw_only=True):
    """`import_memory`, `loaded_memory`: ours as a share of upstream's."""

    how: str
    ours: Side
    upstream: Side
    ratios: tuple[Ratio, ...]
    import_memory: float
    loaded_memory: float


Samples = dict[tuple[str, int], list[Sample]]  # of a side, at a number in flight


def measure(seconds: float, folder: Path, progress: Callable[[str], None]) -> VenueReport:
    """`seconds`: of placing, for each side at each number in flight. Raises BenchError."""
    with ExitStack() as stack:
        server = ("-m", "fks.bench.exchange_server", str(MARKETS))
        url = stack.enter_context(running(folder / "exchange.log", *server)).read()
        clients: dict[str, Child] = {}
        memory: dict[str, tuple[float, float]] = {}
        for name in SIDES:
            progress(f"venue: {name} is imported and loads {MARKETS:,} markets")
            side = ("-m", "fks.bench.venue_client", name, url)
            client = clients[name] = stack.enter_context(running(folder / f"{name}.log", *side))
            memory[name] = (client.read()["rss_mb"], client.ask(do="load")["rss_mb"])
        samples = _take_turns(clients, seconds, progress)
    ours, upstream = (
        Side(
            import_mb=memory[name][0],
            loaded_mb=memory[name][1],
            orders=tuple(_orders(n, samples[name, n]) for n in IN_FLIGHT),
        )
        for name in SIDES
    )
    return VenueReport(
        how=HOW,
        ours=ours,
        upstream=upstream,
        ratios=tuple(_ratio(n, samples["ours", n], samples["upstream", n]) for n in IN_FLIGHT),
        import_memory=ours.import_mb / upstream.import_mb,
        loaded_memory=ours.loaded_mb / upstream.loaded_mb,
    )


def _take_turns(clients: dict[str, Child], seconds: float, progress: Callable[[str], None]) -> Samples:
    """Short turns, so that whatever else the machine does meets both sides alike."""
    samples: Samples = {(name, n): [] for name in SIDES for n in IN_FLIGHT}
    for client in clients.values():
        client.ask(do="place", in_flight=max(IN_FLIGHT), seconds=min(WARM_UP_S, seconds))
    for number in range(1, ROUNDS + 1):
        for in_flight in IN_FLIGHT:
            progress(f"venue: round {number} of {ROUNDS}, {in_flight} in flight")
            for name, client in clients.items():
                told = client.ask(do="place", in_flight=in_flight, seconds=seconds / ROUNDS)
                samples[name, in_flight].append(convert(told, Sample))
    return samples


def _orders(in_flight: int, samples: Sequence[Sample]) -> Orders:
    return Orders(
        in_flight=in_flight,
        orders=sum(one.orders for one in samples),
        cpu_ms_per_order=median(one.cpu_ms for one in samples),
        orders_per_s=median(one.rate for one in samples),
    )


def _ratio(in_flight: int, ours: Sequence[Sample], upstream: Sequence[Sample]) -> Ratio:
    """Of neighbours in time: a busy machine slows both, and changes from second to second."""
    pairs = list(zip(ours, upstream, strict=True))
    return Ratio(
        in_flight=in_flight,
        cpu=median(theirs.cpu_ms / mine.cpu_ms for mine, theirs in pairs),
        rate=median(mine.rate / theirs.rate for mine, theirs in pairs),
    )
