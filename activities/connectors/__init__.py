"""How Keyturn reaches services and mail: each a reader and a writer."""
