"""Runs the student's code, in the zygote and its forks: the untrusted side, which holds no secret."""
