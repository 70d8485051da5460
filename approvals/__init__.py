"""The people's side: API, inbox, operations pages, sign-in and notices."""
