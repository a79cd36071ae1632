"""What the rules mean: pure, without I/O and without a clock."""
