"""What is wrong with training data: each finding with its lines, before anything is trained."""
