"""What people have to look into: incidents, forgeries, and statements that differ."""
