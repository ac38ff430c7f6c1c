"""Energy explained 53 % of held-out synthetic scenes, real clips -12.3 % [-34.3, 3.2].

Recipe `spatialize/foa360-pointing`.
"""
