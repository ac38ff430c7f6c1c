"""Energy explained 40 % of held-out synthetic scenes, real clips -9.2 % [-35.1, 8.5].

Recipe `spatialize/foa360-pointing`.
"""
