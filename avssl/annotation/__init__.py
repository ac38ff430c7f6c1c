"""Annotation of films: segments of one sounding source, with boxes on key frames; files, journal, agreement."""
