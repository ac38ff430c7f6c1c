"""Speed side by side: ours and a named peer in one process, on the same input, after both gave the same result."""
