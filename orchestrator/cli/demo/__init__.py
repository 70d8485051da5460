"""What `keyturn dev` brings along to be tried on: a shop, and tickets of its customers."""
