"""A retail shop's customer service, run by Keyturn; `shop` is the shop itself."""
