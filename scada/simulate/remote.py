"""Asks the fault panel of a simulator that runs: what `scada simulate fault` uses."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from scada.errors import CommandRejected, ConfigError, LinkError, Problem, missing_file

TIMEOUT_S: Final = 10.0


class Remote:
    """The panel that left its address and token in a file."""

    def __init__(self, file: Path) -> None:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            self._url, self._token = str(content["url"]), str(content["token"])
        except FileNotFoundError:
            raise missing_file(file, "that of a simulator that runs with --panel") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError([Problem(str(file), "", f"is not the file of a fault panel: {error!r}")]) from None
        if not self._url.startswith("http://127.0.0.1:"):
            raise ConfigError([Problem(str(file), "url", f"expected http://127.0.0.1:PORT, found {self._url}")])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer; raises `CommandRejected` with the panel's reason, `LinkError` where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"X-Token": self._token})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))    # loopback, whatever proxies there are
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise CommandRejected([json.load(error)["error"]]) from None
        except (OSError, ValueError) as error:
            raise LinkError(self._url, f"no simulator answers: {error}") from None
