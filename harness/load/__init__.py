"""How fast, and how sure of it: timing judged from recordings."""
