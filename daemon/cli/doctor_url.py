"""What `fks doctor` finds at the public address of the door, on the way that TradingView takes."""

import http.client
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from fks.domain.diagnosis import Finding, Judgement
    from fks.domain.settings import Settings
    from fks.infra.webhook_probe import Probe

Found = Iterator[tuple[str, "Judgement"]]


def public_address(url: str, settings: "Settings") -> Iterator["Finding"]:
    """Name, certificate, answer, and whom the door takes the sender to be."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.diagnosis_url import judge_url

    if not url:
        detail = "not known, so not checked: DNS, certificate, the way through the proxy"
        remedy = "fks doctor --url https://your.host/webhook/tradingview, or set server.public_url"
        yield Judgement(Verdict.WARN, detail, remedy).of("public address", "url")
        return
    said = judge_url(url)
    yield said.of(url, "url")
    try:
        parts = urlsplit(url)
        askable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        askable = False
    for check, judgement in _on_the_way(parts, settings) if askable else ():
        yield judgement.of(url, check)


def _on_the_way(url: SplitResult, settings: "Settings") -> Found:
    from fks.domain.diagnosis_url import judge_resolution
    from fks.infra.webhook_probe import Probe, resolve

    found = resolve(url.hostname or "")
    yield "name", judge_resolution(found)
    for address in [one for one in found if ":" not in one]:
        probe = Probe(url, address)
        if url.scheme == "https":
            judgement, valid = _certificate(probe)
            yield "certificate", judgement
            if not valid:
                continue
        yield from _answers(probe, address, settings)


def _certificate(probe: "Probe") -> tuple["Judgement", bool]:
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.diagnosis_url import judge_certificate

    try:
        return judge_certificate(probe.certificate_days()), True
    except ssl.SSLCertVerificationError as error:
        remedy = "let the proxy have a certificate of a public CA for this name, with its whole chain"
        return Judgement(Verdict.FAIL, f"not valid: {error.verify_message}", remedy), False
    except ssl.SSLError as error:
        detail = f"no TLS there: {error.reason or error}"
        return Judgement(Verdict.FAIL, detail, "let the proxy speak TLS on this port"), False
    except OSError as error:
        return _unreachable(error), False


def _answers(probe: "Probe", address: str, settings: "Settings") -> Found:
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.diagnosis_url import (
        A_TRADINGVIEW_ADDRESS,
        judge_answer,
        judge_proxy,
        judge_sender,
        judge_spoof,
    )

    try:
        answer = probe.post()
        yield "answer", judge_answer(answer)
        told = [("sender", judge_sender(answer, address, settings.server, settings.webhook))]
        if answer.by_fks and answer.status == 403:
            spoofed = probe.post({"X-Forwarded-For": A_TRADINGVIEW_ADDRESS})
            told.append(("spoofing", judge_spoof(answer, spoofed)))
        told.append(("proxy", judge_proxy(answer.server)))
    except OSError as error:
        yield "answer", _unreachable(error)
    except http.client.HTTPException as error:
        detail = f"what answers does not speak HTTP ({type(error).__name__})"
        yield "answer", Judgement(Verdict.FAIL, detail, "let the proxy listen there")
    else:
        yield from ((check, one) for check, one in told if one is not None)


def _unreachable(error: OSError) -> "Judgement":
    from fks.domain.diagnosis import Judgement, Verdict

    told = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
    remedy = "start the proxy; let ports 80 and 443 through the firewall; check port forwarding"
    return Judgement(Verdict.FAIL, f"cannot be reached from here: {told}", remedy)
