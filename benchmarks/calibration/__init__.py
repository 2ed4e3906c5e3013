"""How well the methods are calibrated, on labelled and simulated sets."""
