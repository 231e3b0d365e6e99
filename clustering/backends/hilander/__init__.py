"""Hi-LANDER (Xing et al., ICCV 2021)."""
