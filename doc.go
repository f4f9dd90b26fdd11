package lanewise
