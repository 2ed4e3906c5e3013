"""From log-normalised values to clusters: components, neighbour graph, partition, and a sketch of many cells."""
