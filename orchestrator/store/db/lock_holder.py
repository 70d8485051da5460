"""The process that holds SQLite's write lock, for an operator who has to act."""

from pathlib import Path

from sqlalchemy.engine import make_url

# In WAL mode the writer locks this byte of the -shm file (sqlite.org/walformat.html).
WRITE_LOCK_BYTE = 120
LOCKS = Path("/proc/locks")


def words(url: str) -> str:
    """Return a sentence that names the process that writes, or an empty text."""
    holders = pids(url)
    if not holders:
        return ""
    named = ", ".join(str(pid) for pid in holders)
    return f" The database is locked by process {named}."


def pids(url: str) -> list[int]:
    """Return the processes that hold the write lock, if Linux reports them."""
    path = make_url(url).database
    shared = Path(f"{path}-shm") if path else None
    if shared is None or not shared.exists() or not LOCKS.exists():
        return []
    inode = shared.stat().st_ino
    lines = LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    return sorted({pid for line in lines if (pid := _holder(line, inode))})


def _holder(line: str, inode: int) -> int | None:
    """Read `1: POSIX ADVISORY WRITE 4711 08:01:1234 120 120`; None for other locks."""
    parts = line.split()
    if len(parts) != 8 or parts[1] != "POSIX" or parts[3] != "WRITE":
        return None
    try:
        pid, start, end = int(parts[4]), int(parts[6]), int(parts[7])
    except ValueError:
        return None
    is_ours = parts[5].rsplit(":", 1)[-1] == str(inode)
    return pid if is_ours and start <= WRITE_LOCK_BYTE <= end else None
