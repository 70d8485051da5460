"""Where to go on after signing in: nowhere but here."""

HOME = "/inbox"


def local_path(wanted: str) -> str:
    """Return `wanted` where it is a path of this server; else the inbox."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() else HOME
