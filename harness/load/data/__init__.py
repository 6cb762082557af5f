"""Data files of the load room: hardware and models that `harness capacity` knows by name."""
