"""Initial policies: meta-trained so that a few updates on one data set take them far."""
