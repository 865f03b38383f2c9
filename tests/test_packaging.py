"""What is handed to users: the wheel, the manual page, the completions, the Debian package's description."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fks.cli import main
from fks.cli.man import page
from process import TESTS

ROOT = TESTS.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPLETIONS = {
    "bash": "complete -o nosort -F",
    "zsh": "#compdef fks",
    "fish": "complete --no-files --command fks",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Made as `make wheel` makes it, but of a copy: setuptools leaves things beside the sources."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("daemon", "actors"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    subprocess.run([*command, "-o", str(folder / "dist"), str(folder)], check=True, capture_output=True)
    (made,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_has_every_file(wheel: zipfile.ZipFile) -> None:
    """A new package, or a page of the console, that pyproject.toml does not name would be missing."""
    wanted = {
        f"{package}/{path.relative_to(ROOT / folder)}"
        for folder, package in {"daemon": "fks", "actors": "fks/actors"}.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == wanted
    assert {"fks/py.typed", "fks/infra/console_page/console.html"} <= packed


def test_the_wheel_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    info = f"fks_execution-{PROJECT['version']}.dist-info"
    assert "fks = fks.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


# --- the manual page and the completions


def commands(group: click.Group, path: str = "fks") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def test_the_manual_page_has_every_command_and_option() -> None:
    text = page(main).replace("\\-", "-")
    sections = dict(re.findall(r"(?ms)^\.SS (fks [a-z ]+?)(?: \[| [A-Z]|$)(.*?)(?=^\.S[SH])", text))
    found = dict(commands(main))
    assert sections.keys() == found.keys()
    for path, command in found.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[-1] in sections[path], path


def test_man_has_nothing_to_complain_of() -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man is not installed")
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"]
    told = subprocess.run(command, input=page(main), capture_output=True, text=True, check=True)
    assert told.stderr == ""


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_shells_get_their_completions(shell: str, tmp_path: Path) -> None:
    def ask(**env: str) -> str:
        command = [str(Path(sys.executable).with_name("fks"))]
        env |= {"PATH": "/usr/bin:/bin"}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    script = ask(_FKS_COMPLETE=f"{shell}_source")
    assert COMPLETIONS[shell] in script
    assert "journal" in ask(_FKS_COMPLETE=f"{shell}_complete", COMP_WORDS="fks jour", COMP_CWORD=_word(shell))
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def _word(shell: str) -> str:
    return "jour" if shell == "fish" else "1"  # fish tells the word itself


# --- the Debian package (`make deb-test` installs it)


def test_the_packages_version_is_the_projects() -> None:
    first = (ROOT / "debian" / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"fks-execution ({PROJECT['version']}) ")


def test_the_packages_python_is_the_projects() -> None:
    control = (ROOT / "debian" / "control").read_text()
    assert f"Depends: python3 ({PROJECT['requires-python'].replace('>=', '>= ')}), " in control


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_packages_scripts_are_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / "debian" / f"fks-execution.{script}")], check=True)
