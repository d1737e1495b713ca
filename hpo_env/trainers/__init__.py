"""Trainers: they run the inner training of all lanes and report telemetry."""
