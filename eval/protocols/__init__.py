"""IJB-B, IJB-C and lists of pairs, read from disk.

`open.load_protocol` recognises the layout. To add a protocol, write a file with ``is_NAME(folder) -> bool`` and
``load_NAME(folder) -> Protocol`` as `nist` does, and add both to `open.LAYOUTS`.
"""
