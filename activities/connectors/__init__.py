"""Access to services and mail: each connector is a reader and a writer."""
