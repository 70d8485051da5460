"""The official JSON Schema test suite, from the source distribution of jsonschema.

`python scripts/schema_suite.py FOLDER` leaves its `tests` and `remotes` in FOLDER. The
wheel, which requirements/dev.txt installs, has none of them; the version is the wheel's,
and the archive is accepted by its hash alone.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"


def main(target: Path) -> None:
    """Leaves the suite in `target`, or ends with status 1 and the reason."""
    if (target / "tests").is_dir():
        return
    with tempfile.TemporaryDirectory(prefix="keyturn-suite-") as scratch:
        archive = _download(Path(scratch))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            sys.exit(
                f"{archive.name} has the hash {found}; if jsonschema was upgraded, "
                "look at its suite and write the hash into scripts/schema_suite.py."
            )
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        [suite] = Path(scratch).glob("jsonschema-*/json")
        shutil.copytree(suite, target, dirs_exist_ok=True)


def _download(into: Path) -> Path:
    wanted = f"jsonschema=={version('jsonschema')}"
    how = ["--no-deps", "--no-binary", "jsonschema", "--quiet", "--dest", str(into)]
    command = [sys.executable, "-m", "pip", "download", *how, wanted]
    subprocess.run(command, check=True)
    return next(into.glob("jsonschema-*.tar.gz"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
