"""Files and processes: atomic writes, hashes, worker processes, resumable journals."""
