"""Hand-designed against learned, for staff who grade the written questions: training, pictures, a page."""
