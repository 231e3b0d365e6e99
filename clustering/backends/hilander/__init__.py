"""Hi-LANDER (Xing et al., ICCV 2021)."""

from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"
"""The model folder that comes with the package."""
