"""What the gateway itself promises: who answers a name, and who may ask."""
