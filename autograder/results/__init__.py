"""Runs the checks and writes results.json: valid, whole, in one step."""
