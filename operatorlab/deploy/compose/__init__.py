"""The deployment `compose`: a subject as containers."""
