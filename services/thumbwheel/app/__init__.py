"""The composition: which adapter stands behind which port, and what one process runs. Parts never build each other."""
