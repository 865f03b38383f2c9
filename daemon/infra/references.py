"""`${NAME}` and `${credential:NAME}` in a configuration's strings."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_REFERENCE = re.compile(r"\$\$|\$\{(?:([^}]*)\})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"credential:((?!.*\.\.)[A-Za-z0-9_.@-]+)")
_HELP = "write ${NAME} for an environment variable, ${credential:NAME} for a file, $$ for a plain $"


class References:
    """Looks up what a configuration refers to. A missing or empty value is an error, never ''.

    `folders`: where credentials are looked for, in this order. `files`: the credentials read so far.
    """

    def __init__(self, env: Mapping[str, str], folders: Sequence[Path]) -> None:
        self.files: list[Path] = []
        self._env = env
        self._folders = folders

    def expand(self, text: str) -> str:
        """`text` with every reference replaced and `$$` as `$`; other dollar signs stay as they are.

        Raises ExceptionGroup of ValueError, one for each reference that leads nowhere. What was found
        is expanded no further: a secret may contain `${`.
        """
        problems: list[ValueError] = []

        def replace(match: re.Match[str]) -> str:
            try:
                return "$" if match[0] == "$$" else self._look_up(match[1])
            except ValueError as error:
                problems.append(error)
                return ""

        expanded = _REFERENCE.sub(replace, text)
        if problems:
            raise ExceptionGroup("references that lead nowhere", problems)
        return expanded

    def _look_up(self, name: str | None) -> str:
        if name is None:
            raise ValueError(f"'${{' without its '}}' ({_HELP})")
        if credential := _CREDENTIAL.fullmatch(name):
            return self._credential(credential[1])
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"not a reference ({_HELP})")
        value = self._env.get(name, "")
        if not value:
            state = "empty" if name in self._env else "not set"
            raise ValueError(f"the environment variable {name} is {state} (set it)")
        return value

    def _credential(self, name: str) -> str:
        if not self._folders:
            raise ValueError(
                f"no credential {name!r}: there is no $CREDENTIALS_DIRECTORY (set secrets_dir to its folder)"
            )
        for folder in self._folders:
            path = folder / name
            try:
                value = path.read_text(encoding="utf-8").rstrip("\r\n")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ValueError(f"{path} cannot be read: {error.strerror} (check its permissions)") from None
            except UnicodeDecodeError:
                raise ValueError(f"{path} is not UTF-8 text (write it anew)") from None
            if not value:
                raise ValueError(f"{path} is empty (write the value into it)")
            self.files.append(path)
            return value
        places = " or ".join(str(folder) for folder in self._folders)
        raise ValueError(f"no credential {name!r} in {places} (create that file)")
