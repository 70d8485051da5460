"""The demo shop's books: every tenant's customers, orders and refunds, in SQLite."""

import json
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import cast

from pydantic import JsonValue

from keyturn.orchestrator.rules.text import json_object

Json = dict[str, JsonValue]
SEED = Path(__file__).with_name("shop.json")
# Stored in place of a request's hash, for a key under which nothing is ever done.
CLOSED = "closed"
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    tenant TEXT, kind TEXT, id TEXT, customer TEXT, data TEXT,
    PRIMARY KEY (tenant, kind, id));
CREATE TABLE IF NOT EXISTS answers (
    tenant TEXT, key TEXT, asked TEXT, status INTEGER, body TEXT,
    PRIMARY KEY (tenant, key));
CREATE TABLE IF NOT EXISTS refunds (
    number INTEGER PRIMARY KEY, tenant TEXT, key TEXT, order_id TEXT, customer TEXT,
    amount INTEGER, currency TEXT, reason TEXT,
    made_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    UNIQUE (tenant, key));
CREATE TABLE IF NOT EXISTS reversals (
    tenant TEXT, key TEXT, status TEXT, words TEXT,
    at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (tenant, key));
"""


@dataclass(frozen=True)
class Page:
    """Some lines of the statement; `last` is the last number if more may follow."""

    lines: list[Json]
    last: int | None


@dataclass(frozen=True)
class Answer:
    """The shop's answer: an HTTP status and JSON."""

    status: int
    body: JsonValue


class Books:
    """All tenants' shops in one file; each begins with the same demo data."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; None keeps the books in memory."""
        self._lock = Lock()
        self._known: set[str] = set()
        self._seed: dict[str, list[Json]] = json.loads(SEED.read_bytes())
        self._connection = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.executescript(f"PRAGMA synchronous=FULL;{SCHEMA}")

    @contextmanager
    def open(self, tenant: str) -> Generator["Shop"]:
        """Yield a tenant's shop; its changes are stored completely or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._begin(tenant)
                yield Shop(self._connection, tenant, self._seed["help"])
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
            self._known.add(tenant)

    def statement(self, *, since: str = "", after: int = 0, most: int = -1) -> Page:
        """Return every tenant's refunds that changed since then, oldest first.

        `after` is the number of the last one of the previous page.
        """
        with self._lock:
            rows = self._connection.execute(
                f"{_REFUNDS} WHERE changed_at >= ? AND number > ? ORDER BY number"
                " LIMIT ?",
                (since, after, most),
            ).fetchall()
        last = rows[-1][0] if len(rows) == most else None
        return Page([_line(row) for row in rows], last)

    def reverse(self, tenant: str, key: str, *, status: str, words: str) -> bool:
        """Play the bank: a paid refund fails later; False without such a refund."""
        with self.open(tenant) as shop:
            if shop.refund(key) is None:
                return False
            self._connection.execute(
                "INSERT OR REPLACE INTO reversals (tenant, key, status, words)"
                " VALUES (?, ?, ?, ?)",
                (tenant, key, status, words),
            )
            return True

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _begin(self, tenant: str) -> None:
        if tenant in self._known:
            return
        rows = [
            (tenant, kind, one["id"], one.get("customer_id", one["id"]), _dumps(one))
            for kind in ("customers", "orders")
            for one in self._seed[kind]
        ]
        self._connection.executemany(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", rows
        )


@dataclass(frozen=True)
class Shop:
    """One tenant's shop, within one transaction."""

    connection: sqlite3.Connection
    tenant: str
    help: list[Json]

    def customer(self, customer: str) -> Json | None:
        """Return the customer, or None."""
        return self._record("customers", customer, customer)

    def order(self, customer: str, order: str) -> Json | None:
        """Return this customer's order as it is now, or None; never another's."""
        found = self._record("orders", order, customer)
        return found and self._with_refunds(found)

    def orders(self, customer: str) -> list[Json]:
        """Return this customer's orders, newest first."""
        rows = self.connection.execute(
            "SELECT data FROM records WHERE tenant = ? AND kind = 'orders'"
            " AND customer = ? ORDER BY id DESC",
            (self.tenant, customer),
        )
        return [self._with_refunds(json.loads(data)) for (data,) in rows]

    def put_order(self, order: Json) -> None:
        """Store the new state of an order."""
        # Later refunds are in the refunds table; the record keeps its initial amount.
        kept = order | {"refunded": int(str(order["refunded"])) - self._refunded(order)}
        self.connection.execute(
            "UPDATE records SET data = ? WHERE tenant = ? AND kind = 'orders'"
            " AND id = ?",
            (_dumps(kept), self.tenant, order["id"]),
        )

    def refund(self, key: str) -> Json | None:
        """Return the refund made under this key, or None."""
        row = self.connection.execute(
            f"{_REFUNDS} WHERE tenant = ? AND key = ?", (self.tenant, key)
        ).fetchone()
        return _refund(row) if row else None

    def add_refund(self, key: str, customer: str, wanted: Json) -> Json:
        """Book a refund and return it."""
        money = json_object.of(wanted["amount"])
        self.connection.execute(
            "INSERT INTO refunds (tenant, key, order_id, customer, amount, currency,"
            " reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.tenant,
                key,
                wanted["order_id"],
                customer,
                money["amount"],
                money["currency"],
                wanted["reason"],
            ),
        )
        return cast("Json", self.refund(key))

    def once(self, key: str, asked: str, act: Callable[[], Answer]) -> Answer:
        """Return the answer stored under the key, or act and store it; refusals too.

        The same key with a different request is refused with 409.
        """
        row = self.connection.execute(
            "SELECT asked, status, body FROM answers WHERE tenant = ? AND key = ?",
            (self.tenant, key),
        ).fetchone()
        if row is None:
            answer = act()
            self._save(key, asked, answer)
            return answer
        if row[0] not in (asked, CLOSED):
            return Answer(409, {"error": f"The key {key} came with another request."})
        return Answer(row[1], json.loads(row[2]))

    def close_key(self, key: str) -> None:
        """Make sure that nothing is ever done under this key; may be repeated."""
        closed = Answer(409, {"error": f"The key {key} was closed."})
        self.once(key, CLOSED, lambda: closed)

    def _save(self, key: str, asked: str, answer: Answer) -> None:
        self.connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
            (self.tenant, key, asked, answer.status, json.dumps(answer.body)),
        )

    def _record(self, kind: str, name: str, customer: str) -> Json | None:
        row = self.connection.execute(
            "SELECT data FROM records WHERE tenant = ? AND kind = ? AND id = ?"
            " AND customer = ?",
            (self.tenant, kind, name, customer),
        ).fetchone()
        return json.loads(row[0]) if row else None

    def _with_refunds(self, order: Json) -> Json:
        before = int(str(order["refunded"]))
        return order | {"refunded": before + self._refunded(order)}

    def _refunded(self, order: Json) -> int:
        row = self.connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM refunds"
            " LEFT JOIN reversals USING (tenant, key)"
            " WHERE tenant = ? AND order_id = ? AND status IS NULL",
            (self.tenant, order["id"]),
        ).fetchone()
        return int(row[0])


_REFUNDS = (
    "SELECT * FROM (SELECT number, tenant, key, order_id, customer, amount, currency,"
    " reason, made_at, coalesce(status, 'paid') AS status,"
    " coalesce(words, '') AS words, coalesce(at, made_at) AS changed_at"
    " FROM refunds LEFT JOIN reversals USING (tenant, key))"
)


def _refund(row: tuple[JsonValue, ...]) -> Json:
    number, tenant, key, order_id, customer, amount, currency, reason = row[:8]
    return {
        "refund_id": f"R-{number}",
        "tenant": tenant,
        "key": key,
        "order_id": order_id,
        "customer_id": customer,
        "amount": {"amount": amount, "currency": currency},
        "reason": reason,
        "made_at": row[8],
        "status": row[9],
    }


def _line(row: tuple[JsonValue, ...]) -> Json:
    """Return a refund as a line of the statement."""
    number, tenant, key, _, _, amount, currency = row[:7]
    return {
        "reference": f"R-{number}",
        "tenant": tenant,
        "key": key,
        "amount": amount,
        "currency": currency,
        "status": row[9],
        "words": row[10],
        "at": row[11],
    }


def _dumps(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
