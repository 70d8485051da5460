"""A desk whose input, reads, facts and receipts have fields that no model may see."""
