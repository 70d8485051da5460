"""`keyturn dev`: everything on one machine, in one data folder."""
