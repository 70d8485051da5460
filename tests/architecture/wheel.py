"""A wheel of the committed files, and of those to be committed."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hatch_build import VENDOR, build_assets

ROOT = Path(__file__).resolve().parents[2]
LINKS = Path("src", "keyturn")


def built_wheel(folder: Path, *, only: Sequence[str] = ()) -> Path:
    """Return the wheel, built in a copy below `folder`; of these top names `only`."""
    source = folder / "source"
    copied = [path for path in files() if not only or _is_below(path, only)]
    for path in copied:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    for link in links() if not only or "src" in only else []:
        (source / LINKS / link.name).symlink_to(link.readlink())
    build_assets(ROOT)
    shutil.copytree(ROOT / VENDOR, source / VENDOR)  # spares the download, not the hook
    code = (
        "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    )
    built = subprocess.check_output(
        [sys.executable, "-c", code, str(source / "dist")], cwd=source, text=True
    )
    return source / "dist" / built.split()[-1]


def _is_below(path: Path, names: Sequence[str]) -> bool:
    return any(path.is_relative_to(name) for name in names)


def links() -> list[Path]:
    """Return the links that make one package of the folders at the top."""
    return [path for path in (ROOT / LINKS).iterdir() if path.is_symlink()]


def files() -> list[Path]:
    """Return the files under version control, or about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]
