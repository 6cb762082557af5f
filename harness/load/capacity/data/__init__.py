"""Hardware and models that `harness capacity` knows by name."""
