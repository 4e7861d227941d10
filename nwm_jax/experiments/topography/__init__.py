"""Learning topographic maps and travelling waves: the variational NWM."""
