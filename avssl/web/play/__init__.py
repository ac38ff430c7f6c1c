"""The player of `avssl play`: films with sound fields that turn with the view."""
