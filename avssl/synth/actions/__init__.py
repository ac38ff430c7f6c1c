"""Synthetic human-action videos in the layout of UCF101 and HMDB51."""
