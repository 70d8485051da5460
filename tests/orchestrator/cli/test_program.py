"""What every command does with its arguments, its settings and its end."""

import subprocess
import sys
from pathlib import Path

import pytest

from keyturn.orchestrator.cli import output
from tests.orchestrator.cli.program import COMMAND, Keyturn, here

SOME_TOKEN = {"KEYTURN_TOKEN": "kt_nobodys"}


@pytest.fixture
def keyturn(tmp_path: Path) -> Keyturn:
    return here(tmp_path)


def test_help_names_every_command_and_imports_none(keyturn: Keyturn) -> None:
    loads = "import sys; from keyturn.orchestrator.cli import program; program.run(['--help']); "
    heavy = "{'temporalio', 'sqlalchemy', 'fastapi', 'httpx2', 'openai'}"
    code = f"{loads}sys.exit(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.stderr.strip() == "[]"
    for name in ("dev", "serve", "worker", "run", "approval", "switch", "doctor"):
        assert name in done.stdout
    assert keyturn("--help").status == 0
    assert keyturn("--version").out.startswith("keyturn 0.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("fly",), "No such command 'fly'", id="unknown-command"),
        pytest.param(("run", "fly"), "No such command 'fly'", id="unknown-part"),
        pytest.param(("run", "show"), "Missing argument", id="missing-argument"),
        pytest.param(("run", "list", "--fly"), "No such option", id="unknown-option"),
        pytest.param(("switch", "set", "fly"), "is not one of", id="unknown-mode"),
        pytest.param(("run", "list"), "KEYTURN_TOKEN is not set", id="no-token"),
        pytest.param(("bench", "fly"), "no benchmark 'fly'", id="unknown-benchmark"),
        pytest.param(("doctor", "--only", "fly"), "is not a check", id="unknown-check"),
        pytest.param(
            ("user", "add", "ann", "--name", "Ann", "--role", "agent"),
            "email 'ann'",
            id="no-address",
        ),
        pytest.param(
            ("user", "add", "a@b", "--name", "Ann", "--role", "boss"),
            "role 'boss'",
            id="unknown-role",
        ),
    ],
)
def test_wrong_usage_is_status_2_and_said(
    keyturn: Keyturn, arguments: tuple[str, ...], words: str
) -> None:
    said = keyturn(*arguments)

    assert (said.status, said.out) == (2, "")
    assert words in said.err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param('{"a": 1, "a": 2}', "twice", id="duplicate-key"),
        pytest.param('{"a": NaN}', "INPUT is not JSON", id="not-a-number"),
        pytest.param("[]", "must be a JSON object", id="no-object"),
        pytest.param("@nowhere.json", "cannot be read", id="no-file"),
        pytest.param("{" * 10_000, "INPUT is not JSON", id="deep"),
    ],
)
def test_wrong_input_is_refused_before_it_is_sent(
    keyturn: Keyturn, given: str, words: str
) -> None:
    said = keyturn.but(**SOME_TOKEN)("run", "start", "support-ticket", given)

    assert said.status == 2
    assert words in said.err


def test_unknown_setting_is_named(keyturn: Keyturn) -> None:
    said = keyturn.but(KEYTURN_FLY="1")("db", "upgrade")

    assert said.status == 2
    assert "KEYTURN_FLY is not a setting" in said.err


@pytest.mark.parametrize("command", [("run", "list"), ("approval", "approve", "x")])
def test_web_server_that_is_away_is_status_3(
    keyturn: Keyturn, command: tuple[str, ...]
) -> None:
    said = keyturn.but(**SOME_TOKEN)(*command)

    assert said.status == 3
    assert "No web server answers" in said.err


def test_database_that_is_away_is_status_3(keyturn: Keyturn) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"

    said = keyturn.but(KEYTURN_DATABASE_URL=away)("db", "upgrade")

    assert said.status == 3
    assert "127.0.0.1:1" in said.err


def test_upgrade_twice_has_nothing_to_do(keyturn: Keyturn) -> None:
    assert keyturn("db", "upgrade").out == "The schema was upgraded.\n"
    assert keyturn("db", "upgrade").out == "The schema is current.\n"


def test_user_of_a_database_without_schema_is_told(keyturn: Keyturn) -> None:
    said = keyturn("user", "add", "a@b", "--name", "Ann", "--role", "agent")

    assert said.status == 1
    assert "run `keyturn db upgrade`" in said.err


def test_serve_refuses_a_database_without_schema(keyturn: Keyturn) -> None:
    said = keyturn("serve")

    assert said.status == 1
    assert "run `keyturn db upgrade`" in said.err


@pytest.mark.parametrize(
    "key", ["KEYTURN_DECISION_KEY", "KEYTURN_SECRET_KEY", "KEYTURN_PAYLOAD_KEYS"]
)
def test_serve_names_a_missing_key(keyturn: Keyturn, key: str) -> None:
    said = keyturn.but(**{key: ""})("serve")

    assert said.status == 2
    assert f"{key} is not set; `keyturn user key`" in said.err


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "KEYTURN_PAYLOAD_KEYS is not set; `keyturn user key` makes one"),
        ("a:b", "KEYTURN_PAYLOAD_KEYS has a malformed entry. Write `name:key`"),
    ],
)
@pytest.mark.parametrize("kind", [(), ("--effects",)])
def test_a_worker_without_payload_keys_does_not_start(
    keyturn: Keyturn, keys: str, words: str, kind: tuple[str, ...]
) -> None:
    said = keyturn.but(KEYTURN_PAYLOAD_KEYS=keys)("worker", *kind)

    assert said.status == 1
    assert words in said.err


def test_doctor_tells_that_plain_payloads_are_read(keyturn: Keyturn) -> None:
    keys = keyturn.environment["KEYTURN_PAYLOAD_KEYS"]
    doctor = ("doctor", "--only", "payload keys", "--json")

    good = keyturn(*doctor)
    bad = keyturn.but(KEYTURN_PAYLOAD_KEYS=f"{keys},plain")(*doctor)

    assert good.json()[0]["kind"] == "good"
    assert bad.status == 1
    assert "anybody who reaches Temporal's port can forge" in bad.out
    assert keys.partition(":")[2] not in good.out + bad.out


def test_printed_keys_are_usable(keyturn: Keyturn) -> None:
    printed = keyturn("user", "key").out.splitlines()
    settings = dict(line.lstrip("# ").split("=", 1) for line in printed if "=" in line)

    doctor = keyturn.but(**settings)("doctor", "--only", "decision key", "--json")
    payloads = keyturn.but(**settings)("doctor", "--only", "payload keys", "--json")

    assert doctor.json()[0]["words"] == "the public half; verifies decisions"
    assert payloads.json()[0]["kind"] == "good"


def test_contract_is_shown_with_its_hash(keyturn: Keyturn) -> None:
    listed = keyturn("contract", "list", "--json").json()
    shown = keyturn("contract", "show", "support-ticket", "--json").json()

    assert [one["workflow"] for one in listed] == ["support-ticket"]
    assert shown["release"] == listed[0]["release"]
    assert keyturn("contract", "show", "none").status == 1


def test_contract_is_drawn_with_both_sides_of_each_boundary(keyturn: Keyturn) -> None:
    drawn = keyturn("contract", "show", "support-ticket").out

    lines = [" ".join(line.split()) for line in drawn.splitlines()]
    assert "refund_order always up to 20.00 USD allowed 0.01 USD, 20.00 USD" in lines
    assert (
        "refund_order always 20.01 USD to 500.00 USD 1 agent within 4 h "
        "20.01 USD, 500.00 USD" in lines
    )
    assert any("5000.01 USD and more denied: no rule matches" in one for one in lines)
    assert "10.01 USD after 10.00 USD moved: 1 agent within 4 h" in drawn


def test_application_of_the_working_folder_is_found(keyturn: Keyturn) -> None:
    app = keyturn.folder / "mine"
    app.mkdir()
    (app / "__init__.py").touch()

    said = keyturn.but(KEYTURN_APPS="mine")("contract", "list")

    assert said.status == 1
    assert "has no module 'mine.contracts'" in said.err


def test_status_survives_a_crash_at_the_interpreters_end(tmp_path: Path) -> None:
    crash = "class Bomb:\n def __del__(self, abort=os.abort): abort()\n"
    code = f"import os, sys\n{crash}sys.bomb = Bomb()\n"
    call = "sys.argv = ['keyturn', 'fly']\nfrom keyturn.orchestrator.cli import main\nmain()"

    done = subprocess.run(
        [sys.executable, "-c", code + call],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2


def test_reader_that_went_away_is_no_trace(keyturn: Keyturn) -> None:
    command = " ".join([*COMMAND, "contract", "show", "support-ticket"])

    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", f"{command} | true"],
        cwd=keyturn.folder,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert "Traceback" not in done.stderr


def test_text_cannot_act_on_the_terminal() -> None:
    shown = output.visible("a\x1b[2J\u202eb\nü")

    assert shown == "a\\u001b[2J\\u202eb\nü"
