"""`python -m examples.retail.shop --db PATH [--port N] [--customer-header NAME]`.

Where SHOP_WRITE_TOKEN is set, writes need it as a bearer token.
"""

import argparse
import os
from pathlib import Path

from examples.retail.shop.server import run
from examples.retail.shop.shops import Shops, Trust
from examples.retail.shop.state import load


def main() -> None:
    """Open the shop that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m examples.retail.shop")
    parser.add_argument("--db", type=Path, required=True, help="the shop's database")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--customer-header", default=Trust.customer_header)
    options = parser.parse_args()
    token = os.environ.get("SHOP_WRITE_TOKEN") or None
    trust = Trust(customer_header=options.customer_header, write_token=token)
    run(Shops(load(options.db), trust), options.host, options.port)


if __name__ == "__main__":
    main()
