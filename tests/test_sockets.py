"""Listening: what is bound, what is refused, what systemd passes."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fks.infra import sockets
from fks.infra.sockets import BindError, bind, passed


def test_port_0_binds_a_free_port_and_listens():
    with bind("127.0.0.1:0") as listener, socket.create_connection(listener.getsockname(), 1) as client:
        assert client.getpeername() == listener.getsockname()


def test_ipv6_in_brackets():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with bind("[::1]:0") as listener:
            assert listener.family == socket.AF_INET6
            with socket.create_connection(listener.getsockname()[:2], 1):
                pass
    except BindError as error:
        if "does not have that address" not in str(error):
            raise
        pytest.skip("no IPv6 loopback here")


def test_port_in_use_says_which_and_what_to_do():
    with bind("127.0.0.1:0") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(BindError, match=rf"^port {port} on 127\.0\.0\.1 is in use: stop the process"):
            bind(f"127.0.0.1:{port}")


def test_a_port_just_left_can_be_bound_again():
    with bind("127.0.0.1:0") as listener:
        name = listener.getsockname()
        client = socket.create_connection(name, 1)
        served, _ = listener.accept()
        served.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    bind(f"127.0.0.1:{name[1]}").close()


@pytest.mark.parametrize(
    "address", ["", "8080", ":8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1", "a:²"]
)
def test_malformed_address_tells_the_three_forms(address: str):
    with pytest.raises(BindError, match=r"write host:port, \[v6\]:port or unix:/path"):
        bind(address)


def test_ipv6_without_brackets_is_refused():
    with pytest.raises(BindError, match="brackets"):
        bind("::1:8080")


def test_foreign_address_is_told_apart():
    with pytest.raises(
        BindError, match=r"port 0 on 192\.0\.2\.1 is not possible: this machine does not have"
    ):
        bind("192.0.2.1:0")


def test_unix_socket_is_for_owner_and_group_only(tmp_path: Path):
    path = tmp_path / "door"
    before = os.umask(0)
    try:
        listener = bind(f"unix:{path}")
    finally:
        os.umask(before)
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_stale_unix_socket_is_replaced(tmp_path: Path):
    path = tmp_path / "door"
    bind(f"unix:{path}").close()
    assert path.exists()
    with bind(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_unix_socket_that_answers_is_left_alone(tmp_path: Path):
    path = tmp_path / "door"
    with bind(f"unix:{path}") as first, socket.socket(socket.AF_UNIX) as client:
        with pytest.raises(BindError, match="another process answers there"):
            bind(f"unix:{path}")
        client.connect(str(path))
        assert first.accept()[0].close() is None


def test_unix_socket_whose_backlog_is_full_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sockets, "BACKLOG", 0)
    path = tmp_path / "door"
    with bind(f"unix:{path}"), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        with pytest.raises(BindError, match="another process answers there"):
            bind(f"unix:{path}")


def test_a_plain_file_is_never_removed(tmp_path: Path):
    path = tmp_path / "fks.db"
    path.write_text("precious")
    with pytest.raises(BindError, match="no socket"):
        bind(f"unix:{path}")
    assert path.read_text() == "precious"


def test_unix_socket_in_a_missing_folder(tmp_path: Path):
    with pytest.raises(BindError, match=r"the socket file .*/none/door cannot be listened on: No such file"):
        bind(f"unix:{tmp_path}/none/door")


class Passed:
    """Descriptors in a row, as systemd leaves them, but not at 3, which this process uses itself."""

    first = 700

    def __init__(self, *sources: socket.socket) -> None:
        for index, source in enumerate(sources):
            os.dup2(source.fileno(), self.first + index)


def _names(found: dict[str, list[socket.socket]]) -> dict[str, list[int]]:
    names = {role: [each.getsockname()[1] for each in listeners] for role, listeners in found.items()}
    for listeners in found.values():
        for each in listeners:
            each.close()
    return names


def test_nothing_passed():
    assert passed({}, os.getpid()) == {}


def test_sockets_meant_for_another_process_are_not_taken():
    assert passed({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, 2) == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("desk:door", {"desk": [0], "door": [1]}),
        ("fks.socket:fks.socket", {"door": [0], "desk": [1]}),
        ("", {"door": [0], "desk": [1]}),
        ("door:door", {"door": [0, 1]}),
        ("desk:unknown", {"desk": [0], "door": [1]}),
    ],
)
def test_passed_sockets_go_by_name_then_by_order(names: str, expected: dict[str, list[int]]):
    with bind("127.0.0.1:0") as one, bind("127.0.0.1:0") as two:
        ports = [one.getsockname()[1], two.getsockname()[1]]
        Passed(one, two)
        env = {"LISTEN_PID": "9", "LISTEN_FDS": "2", "LISTEN_FDNAMES": names}
        found = passed(env, 9, first_fd=Passed.first)
        assert not any(each.get_inheritable() for listeners in found.values() for each in listeners)
    assert _names(found) == {role: [ports[index] for index in which] for role, which in expected.items()}


def test_a_third_unnamed_socket_is_refused():
    with pytest.raises(BindError, match="'c' is one too many: set FileDescriptorName=door or desk"):
        passed({"LISTEN_PID": "9", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c"}, 9)


def test_a_passed_socket_that_does_not_listen_is_refused():
    with socket.socket() as idle:
        Passed(idle)
        with pytest.raises(BindError, match="passed as the door, does not listen"):
            passed({"LISTEN_PID": "9", "LISTEN_FDS": "1"}, 9, first_fd=Passed.first)


def test_a_passed_file_is_refused(tmp_path: Path):
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), Passed.first)
    with pytest.raises(BindError, match="is no socket"):
        passed({"LISTEN_PID": "9", "LISTEN_FDS": "1"}, 9, first_fd=Passed.first)
    os.close(Passed.first)


def test_a_count_that_is_no_number_is_refused():
    with pytest.raises(BindError, match="LISTEN_FDS is 'many'"):
        passed({"LISTEN_PID": "9", "LISTEN_FDS": "many"}, 9)


def test_descriptor_3_of_a_real_process():
    child = (
        "import os; from fks.infra.sockets import passed;"
        "[door] = passed(os.environ, os.getpid())['door']; print(door.fileno(), door.getsockname()[1])"
    )
    with bind("127.0.0.1:0") as listener:
        fd = listener.fileno()
        script = f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -c "$1" 3<&{fd}'
        done = subprocess.run(
            ["bash", "-c", script, sys.executable, child],
            pass_fds=[fd],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert done.stdout.split() == ["3", str(listener.getsockname()[1])]
