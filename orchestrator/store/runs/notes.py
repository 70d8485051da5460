"""Notes that people add to a run."""

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    NoteRow,
)


async def add_note(store: Store, run: str, *, person: Person, text: str) -> NoteRow:
    """Add a person's note to a run; `InvalidValue` if it shows nothing."""
    text = plain_text.required(text, name="text")
    async with store.write() as session:
        row = await run_lookup.get(session, run)
        now = await session.read_clock()
        note = NoteRow(
            run=run,
            person=person.id,
            person_name=person.name,
            kind="note",
            text=text,
            created_at=now,
        )
        session.add(note)
        entry = run_lookup.entry_of(row, "note.note", by=person.id)
        log.record(session, entry, at=now)
    return note
