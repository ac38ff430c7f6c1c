"""Made-up worlds with known truth."""
