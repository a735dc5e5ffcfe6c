"""Stand-ins of the platform's services."""
