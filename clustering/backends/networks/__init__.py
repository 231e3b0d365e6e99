"""Graph networks that Hi-LANDER is compared with."""
