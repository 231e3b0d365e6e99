"""How a stage runs and what lies between stages: files, embeddings, command line, processes."""
