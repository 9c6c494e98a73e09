"""Files of an upload become a `Submission`: found, opened safely, read, and told apart."""
