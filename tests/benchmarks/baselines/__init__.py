"""What Seedbed is measured against: each written as its own community would write it best."""
