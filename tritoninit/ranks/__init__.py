"""What the ranks of a sharded model tell one another: short messages, agreement, matrices."""
