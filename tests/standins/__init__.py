"""Local servers that stand in for real exchanges."""
