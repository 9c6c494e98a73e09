"""Grades many submissions: an export in, grades and a report out."""
