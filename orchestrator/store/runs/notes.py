"""Notes that people add to a run."""

from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    NoteRow,
)


async def add_note(  # noqa: PLR0913 who said what of which run
    store: Store, run: str, *, person: str, person_name: str, kind: str, text: str
) -> NoteRow:
    """Add a person's words to a run; `InvalidValue` if they show nothing."""
    text = plain_text.required(text, name="text")
    async with store.write() as session:
        row = await run_lookup.get(session, run)
        now = await session.read_clock()
        note = NoteRow(
            run=run,
            person=person,
            person_name=person_name,
            kind=kind,
            text=text,
            created_at=now,
        )
        session.add(note)
        run_lookup.record(session, row, f"note.{kind}", person, None, at=now)
    return note
