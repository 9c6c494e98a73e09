"""Runs the student's code in a child process and brings back numbers, or how it ended."""
