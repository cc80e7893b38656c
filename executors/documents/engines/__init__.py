"""Recognition engines: one face, two makers, chosen by what the machine has."""
