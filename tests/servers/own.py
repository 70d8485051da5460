"""A server of one test's own, which it may stop, kill and start again."""

import signal
import subprocess

from tests.servers.launch import Program


class Own:
    """A running server with an address that outlives it: `address` stays the same."""

    def __init__(self, program: Program, address: str) -> None:
        self.address = address
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the server answers; it has the data it had before."""
        self._process = self._program.start()

    def stop(self) -> None:
        """Returns when the server has ended in its own good way."""
        self._end(None)

    def kill(self) -> None:
        """A crash: SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """The server keeps its sockets and answers nothing, until `thaw`."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """The server goes on."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals | None) -> None:
        if self._process and self._process.poll() is None:
            self.thaw()
            self._program.stop(self._process, how)
        self._process = None
