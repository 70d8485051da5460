"""Whether each row matches the audit log, and each row that the log names exists."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import select, text, tuple_

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.digests import BY_TABLE, Digested, Kept, Key
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity.log_walk import LogWalk
from keyturn.orchestrator.store.integrity.row_statements import AT_ONCE
from keyturn.orchestrator.store.tables import DecisionRow


class RowCheck:
    """Compares rows with the result of a walk through the log."""

    def __init__(self, store: Store, walk: LogWalk, verifier: Verifier | None) -> None:
        self._store = store
        self._walk = walk
        self._said = walk.said
        self._findings = walk.findings
        self._verifier = verifier
        self.signatures = None if verifier is None else 0
        self.count = 0
        self.unvouched: dict[str, int] = {}

    async def compare(self, kept: Kept) -> None:
        """Compare each row of a table with what the log says of it."""
        after: Key | None = None
        while True:
            page, decided = await self._page(kept, after)
            self._check_signatures(decided)
            said = self._said.of([kept.name(row.key) for row in page])
            right, others = list[str](), list[Key]()
            for row in page:
                name = kept.name(row.key)
                if said.get(name, (None, 0))[0] == row.digest:
                    right.append(name)
                elif name in said or not self._is_older(row):
                    others.append(row.key)
                else:
                    self.unvouched[kept.table] = self.unvouched.get(kept.table, 0) + 1
            self._said.found(right)
            if others:
                await self._compare_again(kept, others)
            self.count += len(page)
            self._walk.progress("rows", self.count)
            if len(page) < AT_ONCE:
                break
            after = page[-1].key
        self._check_older(kept)

    async def look_for_the_missing(self) -> None:
        """Report rows that the log names and no table has."""
        after = ""
        while names := self._said.unfound(after=after):
            by_table: dict[str, list[Key]] = {}
            for name in names:
                kept, key = _place(name)
                if kept is None or key is None:
                    self._report_unknown(name)
                elif not kept.ends:
                    by_table.setdefault(kept.table, []).append(key)
            for table, keys in by_table.items():
                await self._compare_again(BY_TABLE[table], keys)
            after = names[-1]

    async def _page(
        self, kept: Kept, after: Key | None
    ) -> tuple[list[Digested], Sequence[DecisionRow]]:
        columns = [getattr(kept.row, name) for name in kept.key]
        query = kept.select().order_by(*columns).limit(AT_ONCE)
        if after is not None:
            query = query.where(tuple_(*columns) > tuple_(*after))
        async with self._store.read() as session:
            rows = (await session.execute(query)).all()
        # Other tasks run while a page is hashed.
        page = await asyncio.to_thread(lambda: [kept.read(row) for row in rows])
        if kept.row is not DecisionRow or self._verifier is None:
            return page, ()
        theirs = select(DecisionRow).where(kept.among([row.key for row in page]))
        async with self._store.read() as session:
            return page, (await session.execute(theirs)).scalars().all()

    async def _compare_again(self, kept: Kept, keys: list[Key]) -> None:
        """Compare rows with the log once more, both as one transaction sees them."""
        await self._walk.catch_up()
        async with self._snapshot() as session:
            await self._walk.take_rest(session)
            query = kept.select().where(kept.among(keys))
            found = {
                row.key: row for row in map(kept.read, await session.execute(query))
            }
        names = {key: kept.name(key) for key in keys}
        said = self._said.of(list(names.values()))
        for key, name in names.items():
            self._judge(name, said.get(name), found.get(key))

    def _judge(
        self,
        name: str,
        said: tuple[str | None, int] | None,
        row: Digested | None,
    ) -> None:
        digest, entry = said or (None, 0)
        if row is None and digest is None:
            return
        if row is not None and row.digest == digest:
            self._said.found([name])
            return
        keep = "Keep the database as it is, and compare it with a backup."
        if row is None:
            self._add("the row is gone", name, _in_log(said), "has no such row", keep)
        elif said is None:
            self._add(
                "no entry mentions this row",
                name,
                "nothing",
                f"has it since {row.since.isoformat()}",
                f"Keyturn did not write it, or its entry was deleted. {keep}",
            )
        else:
            # The row exists, and is reported here.
            self._said.found([name])
            self._add(
                "the row differs from its last entry",
                name,
                _in_log(said),
                f"holds {row.digest[:12]}",
                f"It was changed after entry {entry}. {keep}",
            )

    def _add(self, what: str, place: str, log: str, table: str, remedy: str) -> None:
        self._findings.add(what, place, log, table, remedy)

    def _is_older(self, row: Digested) -> bool:
        begun = self._walk.begun
        return begun is not None and row.since <= begun.at

    def _check_older(self, kept: Kept) -> None:
        """Report rows from before the digests, if more than when digests began."""
        begun = self._walk.begun
        if begun is None:
            return
        said: dict[str, dict[str, int]] = json.loads(begun.payload)
        known = said["rows_before"].get(kept.table, 0)
        if self.unvouched.get(kept.table, 0) > known:
            self._add(
                "more rows without an entry than there were at the upgrade",
                kept.table,
                f"{known}",
                f"has {self.unvouched[kept.table]}",
                "Some were inserted and backdated: compare them with a backup.",
            )

    def _check_signatures(self, rows: Sequence[DecisionRow]) -> None:
        if self._verifier is None:
            return
        for row in rows:
            self.signatures = (self.signatures or 0) + 1
            if not self._verifier.is_genuine(
                approval_lookup.statement(row), row.signature
            ):
                self._add(
                    f"the decision of {row.person} was not signed by a known key",
                    f"decisions/{row.id}",
                    "a decision is signed by the web server",
                    "holds another signature",
                    f"Check what was done for approval {row.approval}. If the decision "
                    "key was changed, put the public half of the old one into "
                    "KEYTURN_FORMER_DECISION_KEYS.",
                )

    def _report_unknown(self, name: str) -> None:
        self._add(
            "an entry mentions a row that no table has",
            name,
            "there is such a row",
            "is unknown to this version",
            "A later version of Keyturn wrote it, or something other than Keyturn.",
        )

    @asynccontextmanager
    async def _snapshot(self) -> AsyncGenerator[Tx]:
        """Yield a session whose reads all see the database at one moment."""
        async with self._store.read() as session:
            if self._store.is_sqlite:
                await session.execute(text("BEGIN"))
            else:
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ"}
                )
            yield session


def _place(name: str) -> tuple[Kept | None, Key | None]:
    """Return the table and the key that a name in the log stands for."""
    table, _, rest = name.partition("/")
    kept = BY_TABLE.get(table)
    if kept is None:
        return None, None
    parts = rest.rsplit("/", len(kept.key) - 1)
    try:
        return kept, tuple(
            kind(part) for kind, part in zip(kept.key_types, parts, strict=True)
        )
    except ValueError:
        return kept, None


def _in_log(said: tuple[str | None, int] | None) -> str:
    digest, entry = said or (None, 0)
    return f"{digest[:12] if digest else 'that it was deleted'} (entry {entry})"
