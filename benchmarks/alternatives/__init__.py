"""What staff would use instead of this project, set up so that it grades the same homework."""
