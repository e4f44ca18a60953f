"""Numbers from networks and predictions."""
