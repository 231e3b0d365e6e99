"""Answers of a person about pairs of faces, as constraints of a clustering."""
