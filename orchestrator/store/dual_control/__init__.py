"""What one person asks for and another one confirms (P11)."""
