"""Energy explained 36 % of held-out synthetic scenes, not measured on real clips.

Recipe `spatialize/mono_to_3d-pointing`.
"""
