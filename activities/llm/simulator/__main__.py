"""`python -m keyturn.activities.llm.simulator [--port N] [--scenario import.path:callable]…`."""

import argparse
import json
import sys
from contextlib import suppress
from importlib import import_module

from keyturn.activities.llm.simulator.scenarios import Scenario, bench, default
from keyturn.activities.llm.simulator.thread import listen, server_for, url_of


def main() -> None:
    """Serve until interrupted; prints one JSON line with the addresses when ready."""
    parser = argparse.ArgumentParser(prog="python -m keyturn.activities.llm.simulator")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        type=load_scenario,
        metavar="IMPORT.PATH:CALLABLE",
        help="asked in this order, before the built-in bench and default",
    )
    given = parser.parse_args()
    listening = listen(port=given.port, host=given.host)
    server = server_for([*given.scenario, bench, default])
    url = url_of(listening)
    ready = {"url": url, "openai_base_url": f"{url}/v1", "anthropic_base_url": url}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def load_scenario(path: str) -> Scenario:
    """Return the scenario at `import.path:name`."""
    module, _, name = path.partition(":")
    try:
        found: Scenario = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise argparse.ArgumentTypeError(
            f"no scenario at {path!r} ({error}); write import.path:callable"
        ) from None
    return found


if __name__ == "__main__":
    main()
