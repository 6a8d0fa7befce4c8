"""Who a caller is and what it may do: scopes, API keys, and what checks them."""
