"""Faces to embeddings: ONNX files and model folders."""
