"""The Neural GPU on binary arithmetic."""
