"""Clusters as people: names, tables and folders that a person can use without this toolkit."""
