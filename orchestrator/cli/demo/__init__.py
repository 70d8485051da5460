"""The demo data of `keyturn dev`: a shop, and tickets of its customers."""
