"""Every reader of untrusted bytes, given bytes that nobody meant: see __main__ for the command."""
