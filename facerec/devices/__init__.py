"""Devices and collectives."""
