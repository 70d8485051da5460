"""What reads /metrics: no person, with a token of the server's settings."""

TOKEN = "a-token-for-figures"  # noqa: S105 of nobody real
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
