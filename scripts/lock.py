"""New lock files for the dependencies that pyproject.toml names."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
OPTIONS = (
    "--upgrade",
    "--generate-hashes",
    "--universal",
    "--python-version=3.11",
    "--no-header",
    "--no-annotate",
    "--quiet",
)


def main() -> None:
    """Leaves runtime.txt, dev.txt that agrees with it, and bootstrap.txt with uv alone."""
    _compile("pyproject.toml", output="runtime.txt")
    _compile(
        "pyproject.toml",
        "--group=dev",
        "--constraints=requirements/runtime.txt",
        output="dev.txt",
    )
    _compile(
        "-", "--constraints=requirements/dev.txt", output="bootstrap.txt", stdin="uv\n"
    )


def _compile(source: str, *options: str, output: str, stdin: str | None = None) -> None:
    target = f"requirements/{output}"
    command = [
        UV,
        "pip",
        "compile",
        source,
        *OPTIONS,
        *options,
        "--output-file",
        target,
    ]
    subprocess.run(command, cwd=ROOT, check=True, text=True, input=stdin)


if __name__ == "__main__":
    main()
