"""A user's media in synthetic scenes: backgrounds, room responses, ambience."""
