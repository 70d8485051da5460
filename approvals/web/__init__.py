"""The web application: everything around pages and API routes."""
