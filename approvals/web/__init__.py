"""The web application: what surrounds every page and every API route."""
