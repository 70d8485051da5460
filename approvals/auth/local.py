"""Redirect targets after signing in: paths of this server only."""

HOME = "/inbox"


def local_path(wanted: str) -> str:
    """Return `wanted` if it is a path of this server, else the inbox."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() else HOME
