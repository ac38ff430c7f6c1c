"""Built-in pretext tasks, registered through the entry points that third-party tasks use."""
