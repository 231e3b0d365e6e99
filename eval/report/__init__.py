"""What is written of one evaluation: metrics.json (`figures`, `intervals`), curves, tables and plots."""
