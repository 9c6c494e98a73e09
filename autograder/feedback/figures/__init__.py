"""Pictures of a transformer on one sequence, for results.json and for the reports."""
