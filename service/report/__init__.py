"""The report: findings, which are hashed, and the run log, which is not."""
