"""Runs the student's code, in the fork server and its forks: the untrusted side, which holds no secret."""
