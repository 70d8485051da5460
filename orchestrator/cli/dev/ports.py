"""TCP ports for the children: the same as last time where they are free."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keyturn.orchestrator.cli.dev.data import Data

LOCALHOST = "127.0.0.1"
PREFERRED: Mapping[str, int] = {
    "web": 8080,
    "temporal": 7233,
    "temporal_ui": 8233,
    # The port of Temporal itself: see `temporal_ui` of the demo.
    "temporal_ui_behind": 8300,
    "shop": 8090,
    "mailbox": 8025,
    "smtp": 1025,
    "simulator": 8091,
}
STEPS = 50
FILE = "ports.json"


@dataclass(frozen=True)
class Ports:
    """The ports of one installation, by name."""

    numbers: Mapping[str, int]

    @classmethod
    def kept(cls, data: Data) -> "Ports":
        """Return the ports that are held for this data folder."""
        found = data.load(FILE)
        if not isinstance(found, dict):
            raise data.damaged(FILE)
        return cls({k: v for k, v in found.items() if isinstance(v, int)})

    def __getitem__(self, name: str) -> int:
        """Return the port of that name."""
        return self.numbers[name]

    def address(self, name: str) -> str:
        """Return host and port."""
        return f"{LOCALHOST}:{self[name]}"

    def url(self, name: str) -> str:
        """Return the HTTP address."""
        return f"http://{self.address(name)}"


class HeldPorts:
    """Holds the ports of one installation against other starts of this user."""

    def __init__(self, data: Data, *, web: int | None = None) -> None:
        """Take every port; `web` is the user's choice and has priority."""
        self._holds: list[IO[str]] = []
        kept = data.load(FILE)
        before = kept if isinstance(kept, dict) else {}
        self.numbers = {
            name: self._take(
                web if name == "web" and web else None,
                before.get(name),
                preferred,
            )
            for name, preferred in PREFERRED.items()
        }
        data.save(FILE, dict(self.numbers))

    def _take(self, *wishes: object) -> int:
        first = [wish for wish in wishes if isinstance(wish, int)]
        beside = [first[-1] + step for step in range(1, STEPS)]
        for port in (*first, *beside):
            if _is_free(port) and self._hold(port):
                return port
        while not self._hold(port := _any_free()):
            continue
        return port

    def _hold(self, port: int) -> bool:
        """Keep other starts from choosing the port before its child listens on it."""
        folder = Path(tempfile.gettempdir(), f"keyturn-ports-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        file = (folder / str(port)).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._holds.append(file)
        return True


def _is_free(port: int) -> bool:
    if not 0 < port < 65536:
        return False
    with socket.socket() as probe:
        # Otherwise the previous run's connections would block its ports for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])
