"""This project's own workflows, which Keyturn's may not stand in for."""
