"""Checks of the conditions under which this installation can work."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.engine import make_url
from temporalio.service import RPCError

from keyturn.activities.llm import prices
from keyturn.activities.llm.errors import MalformedTarget, UnknownPrice
from keyturn.activities.llm.route import split_target
from keyturn.orchestrator.processes import pollers
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.processes.exit_status import Status
from keyturn.orchestrator.processes.payload_keys import PayloadKeys, PayloadKeysError
from keyturn.orchestrator.rules.authority.binding import (
    PUBLIC_PREFIX,
    DecisionKeyError,
    Signer,
    Verifier,
)
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.errors import ContractError, StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import revision
from keyturn.orchestrator.store.db import roles
from keyturn.orchestrator.store.db.database import Store

TEMPORAL_S = 5.0
MOST_SKEW_S = 2.0
LEAST_FREE_BYTES = 500_000_000

Kind = Literal["good", "bad", "away"]


@dataclass(frozen=True)
class Result:
    """One check's outcome; `words` say what was found and, if bad, what to do."""

    name: str
    kind: Kind
    words: str


@dataclass(frozen=True)
class Question:
    """The selected checks: all, or those of one name; workers anywhere or here."""

    settings: Settings
    only: str | None = None
    host: str = ""


Check = Callable[[Question], Coroutine[Any, Any, list[Result]]]


async def examine(question: Question) -> list[Result]:
    """Return every check's outcome; none of them changes anything."""
    only = question.only
    checks = dict.fromkeys(CHECKS.values() if only is None else (CHECKS[only],))
    found = await asyncio.gather(*(check(question) for check in checks))
    return [
        result
        for results in found
        for result in results
        if only in (None, result.name) or result.kind == "away"
    ]


def status(results: list[Result]) -> Status:
    """Return the exit status: unavailable has priority over bad."""
    kinds = {result.kind for result in results}
    if "away" in kinds:
        return Status.AWAY
    return Status.NO if "bad" in kinds else Status.DONE


async def _applications(question: Question) -> list[Result]:
    settings = question.settings
    try:
        apps = registry.load(settings.app_names, models=settings.models)
    except ContractError as error:
        return [Result("applications", "bad", str(error))]
    names = ", ".join(apps.contracts)
    return [
        Result("applications", "good", f"workflows: {names}"),
        *_models(settings, apps.aliases),
    ]


async def _database(question: Question) -> list[Result]:
    url = question.settings.database_url
    shown = make_url(url).render_as_string(hide_password=True)
    try:
        remedy = await revision.check(url)
        if remedy is not None:
            return [Result("database", "bad", f"{shown}: {remedy}")]
        return [
            Result("database", "good", f"{shown}; the schema is current"),
            await _clock(url),
            *await _account(question.settings),
        ]
    except StoreUnavailable as error:
        return [Result("database", "away", str(error))]


async def _account(settings: Settings) -> list[Result]:
    """Return whether the database account has rights reserved for another process."""
    store, role = Store(settings.database_url), _role(settings)
    if store.is_sqlite:
        await store.close()
        return []
    try:
        async with store.read() as session:
            found = await roles.why_too_wide(session, role)
    finally:
        await store.close()
    if found is None:
        return [
            Result("account", "good", f"the database account has the rights of {role}")
        ]
    return [
        Result(
            "account",
            "bad",
            f"{found}, which this process must not: an intruder in it could grant "
            f"itself authority. Connect it with an account of the role {role} "
            "(docs/how-to/run-in-production.md), and run `keyturn db upgrade`.",
        )
    ]


def _role(settings: Settings) -> str:
    """Return the process that these settings fit: each secret is given to only one."""
    if settings.secret_key is not None:
        return roles.WEB
    return roles.EFFECTS if settings.decision_key is not None else roles.WORKER


async def _clock(url: str) -> Result:
    store = Store(url)
    try:
        async with store.read() as session:
            before = datetime.now(UTC)
            theirs = await session.read_clock()
            after = datetime.now(UTC)
    finally:
        await store.close()
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if skew > MOST_SKEW_S:
        return Result(
            "clock",
            "bad",
            f"the clocks of the database and of this host differ by {skew:.1f} s; "
            "deadlines use the database's clock. Set both by NTP.",
        )
    return Result(
        "clock", "good", f"the database and this host agree ({skew:.1f} s apart)"
    )


async def _temporal(question: Question) -> list[Result]:
    settings = question.settings
    address = f"{settings.temporal_address}, namespace {settings.temporal_namespace}"
    try:
        async with asyncio.timeout(TEMPORAL_S):
            client = await connect(settings, is_looking=True)
            working = await pollers.count(client, settings, host=question.host)
    except (RPCError, RuntimeError, OSError, TimeoutError) as error:
        words = str(error) or "no answer"
        return [
            Result(
                "temporal",
                "away",
                f"{address}: {words}. Start it, or set KEYTURN_TEMPORAL_ADDRESS and "
                "KEYTURN_TEMPORAL_NAMESPACE.",
            )
        ]
    return [Result("temporal", "good", address), *_workers(settings, working)]


def _workers(settings: Settings, working: dict[str, int]) -> list[Result]:
    starts = {"worker": "keyturn worker", "effect worker": "keyturn worker --effects"}
    return [
        Result(name, "good", f"{count} polling task queue {settings.task_queue}")
        if count
        else Result(name, "bad", f"none polls the task queue; start `{starts[name]}`")
        for name, count in working.items()
    ]


def _models(settings: Settings, aliases: tuple[Alias, ...]) -> list[Result]:
    configured = _providers(settings)
    if not configured:
        return [
            Result(
                "providers",
                "bad",
                "none is configured; set OPENAI_API_KEY, OPENAI_BASE_URL, "
                "ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL for the workers",
            )
        ]
    found = [Result("providers", "good", ", ".join(configured))]
    return found + [_alias(alias, settings, configured) for alias in aliases]


def _providers(settings: Settings) -> list[str]:
    given = {
        "openai": (settings.openai_api_key, settings.openai_base_url),
        "anthropic": (settings.anthropic_api_key, settings.anthropic_base_url),
    }
    return [name for name, values in given.items() if any(values)]


def _alias(alias: Alias, settings: Settings, configured: list[str]) -> Result:
    name = f"model {alias.name}"
    usable: list[str] = []
    for target in alias.targets:
        try:
            provider, model = split_target(target)
            if provider not in configured:
                continue
            prices.worst_case_microusd(
                provider, model, 1, 1, price=settings.prices.get(target)
            )
        except MalformedTarget as error:
            return Result(name, "bad", str(error))
        except UnknownPrice:
            return Result(
                name,
                "bad",
                f"the price of {target} is unknown; set it in KEYTURN_PRICES, or use "
                "another target in KEYTURN_MODELS",
            )
        usable.append(target)
    if not usable:
        wanted = ", ".join(alias.targets)
        return Result(
            name,
            "bad",
            f"none of {wanted} has a configured provider; see KEYTURN_MODELS",
        )
    return Result(name, "good", " then ".join(usable))


async def _keys(question: Question) -> list[Result]:
    return [_decision_key(question.settings), _payload_keys(question.settings)]


def _payload_keys(settings: Settings) -> Result:
    name = "payload keys"
    given = settings.payload_keys
    try:
        keys = PayloadKeys(given.get_secret_value() if given else "")
    except PayloadKeysError as error:
        return Result(name, "bad", str(error))
    if keys.reads_plain:
        return Result(
            name,
            "bad",
            "KEYTURN_PAYLOAD_KEYS ends with `plain`: anybody who reaches Temporal's port "
            "can forge the payloads of runs. Remove `plain` once every run that began "
            "before the keys were set has ended.",
        )
    names = ", ".join(key.decode() for key in keys.keys)
    return Result(name, "good", f"encrypts with the first of {names}")


def _decision_key(settings: Settings) -> Result:
    if settings.decision_key is None:
        return Result(
            "decision key",
            "bad",
            "KEYTURN_DECISION_KEY is not set; `keyturn user key` makes one",
        )
    key = settings.decision_key.get_secret_value()
    try:
        if key.startswith(PUBLIC_PREFIX):
            count = Verifier(key).count
            halves = "the public half" if count == 1 else f"{count} public halves"
            return Result("decision key", "good", f"{halves}; verifies decisions")
        public = Signer(key).public()
    except DecisionKeyError as error:
        return Result("decision key", "bad", str(error))
    words = f"signs decisions; the effect worker gets {public}"
    return Result("decision key", "good", words)


async def _disk(question: Question) -> list[Result]:
    folder = question.settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return [
            Result(
                "disk",
                "bad",
                f"{folder} has {free / 1e6:.0f} MB left; make room, or move "
                "KEYTURN_DATA_DIR",
            )
        ]
    return [Result("disk", "good", f"{folder} has {free / 1e9:.1f} GB left")]


CHECKS: dict[str, Check] = {
    "applications": _applications,
    "providers": _applications,
    "database": _database,
    "clock": _database,
    "account": _database,
    "temporal": _temporal,
    "worker": _temporal,
    "effect worker": _temporal,
    "decision key": _keys,
    "payload keys": _keys,
    "disk": _disk,
}
