"""What people have to look into: incidents, forgeries, statements that differ."""
