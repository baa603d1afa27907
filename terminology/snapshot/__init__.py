"""A code system frozen for serving: one memory-mapped file a version, shared by all processes.

`build.write` makes the file, `Snapshot` opens it in milliseconds, `search` ranks filtered concepts.
"""
