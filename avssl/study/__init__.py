"""Listening studies: design, study folder, answers, report."""
