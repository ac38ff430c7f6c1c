"""Files, hashes, processes and cores, for every layer."""
