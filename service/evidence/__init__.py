"""Statistics of success rates and of pairs; pure functions of counts."""
