"""What is written: metrics.json (`figures`, `intervals`), curves, tables, plots and the page that compares runs."""
