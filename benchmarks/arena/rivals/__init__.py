"""Methods of others, for comparison only. Each is a `Clusterer`, so it is tuned and run like a backend."""
