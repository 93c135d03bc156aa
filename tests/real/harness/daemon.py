"""The daemon under test, and its configuration."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from .asterisk import Missing
from .ports import free_ports

Value = str | int | bool | list[str] | Mapping[str, "Value"]


def toml(path: str, table: Mapping[str, Value]) -> str:
    """A table and the tables in it. JSON's texts, numbers and lists are TOML's as well."""
    plain, inner = [], []
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner.append(toml(f"{path}.{key}", value))
        else:
            plain.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join([f"[{path}]", *plain, "", *inner])


class Daemon:
    """A running `switchhook run`, with the webhooks of its configuration."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        webhooks: Mapping[str, Mapping[str, Value]],
        port: int | None = None,
        sections: Mapping[str, Mapping[str, Value]] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_ports(2)
        config = [toml("fastagi", {"listen": f"127.0.0.1:{self.port}"})]
        config += [toml(f"webhook.{name}", table) for name, table in webhooks.items()]
        config += [toml(path, table) for path, table in (sections or {}).items()]
        (folder / "config.toml").write_text("\n".join(config))
        self.log = folder / "log"
        self._binary, self._folder = binary, folder
        self.start()

    def start(self) -> None:
        """Starts it; once more after `kill`, with the store that it left."""
        binary, folder = self._binary, self._folder
        out = self.log.open("ab")
        self._process = subprocess.Popen(
            [binary, "run", "--config", folder / "config.toml"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        until = time.monotonic() + 10
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise Missing(f"{binary} does not start with {folder}/config.toml:\n{self.log.read_text()}")
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_for_log(self, text: str, seconds: float, behind: int = 0) -> bool:
        """Whether its log has this text in time, `behind` so many characters."""
        until = time.monotonic() + seconds
        while text not in self.log.read_text("utf-8", "replace")[behind:]:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def is_running(self) -> bool:
        return self._process.poll() is None

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """SIGKILL, which ends a frozen one as well."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and no mercy after five seconds."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
