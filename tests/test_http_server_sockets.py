"""What the server listens on, and the peer that an app sees."""

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from fks.domain.errors import Fatal
from fks.infra.http_server import serve
from fks.infra.sockets import bind
from http_cases import LAST_GET, LIMITS, Server, echo, running, talk

pytestmark = pytest.mark.real_time


async def test_the_app_sees_the_peer():
    async with running() as server, await server.connect() as client:
        _, _, body = (await talk(client, LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"][0] == "127.0.0.1"


async def test_an_ipv4_peer_of_an_ipv6_socket_is_shown_by_its_ipv4_address():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    server = Server(("127.0.0.1", listener.getsockname()[1]), trio.Event())
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, echo, [listener], LIMITS, server.shutdown, name="door"))
        _, _, body = (await server.exchange(LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"][0] == "127.0.0.1"
        server.shutdown.set()


async def test_unix_socket_has_no_peer_address(tmp_path: Path):
    async with running(address=f"unix:{tmp_path}/door") as server:
        _, _, body = (await server.exchange(LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"] is None


async def test_a_broken_listener_is_fatal_and_leaks_no_group():
    listener = bind("127.0.0.1:0")
    fd = os.dup(listener.fileno())
    told: list[BaseException] = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        try:
            await serve(echo, [listener], LIMITS, trio.Event(), name="door", task_status=task_status)
        except Fatal as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        with socket.socket(fileno=fd) as other:
            other.shutdown(socket.SHUT_RDWR)
    assert str(told[0]).startswith("the door cannot accept connections any more: ")


def test_a_passed_descriptor_is_served_by_another_process():
    child = """
import functools, os, trio
from fks.infra.http_server import ServerLimits, _Server, serve
from fks.infra.sockets import passed

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed"})

async def main():
    done = trio.Event()
    door = passed(os.environ, os.getpid())["door"]
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(serve, app, door, ServerLimits(), done, name="door"))
        await trio.to_thread.run_sync(input)
        done.set()

trio.run(main)
"""
    with bind("127.0.0.1:0") as listener:
        fd = listener.fileno()
        process = subprocess.Popen(
            ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -c "$1" 3<&{fd}', sys.executable, child],
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            env=dict(os.environ),
        )
        server = Server(listener.getsockname(), trio.Event())
        try:
            # The kernel queues the connection until the child accepts: no need to wait for its start.
            assert trio.run(partial(server.exchange, LAST_GET, within=20)).endswith(b"0\r\n\r\n")
        finally:
            process.communicate(b"\n", timeout=10)
    assert process.returncode == 0
