"""Media on object stores and in tar shards, as paths that the rest of the library reads like files.

Nothing here uses the network unless a path is an address, such as `s3://bucket/folder`.
"""
