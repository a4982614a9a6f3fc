"""Who does units of work."""
