"""What becomes of the winner: promotion, the registry, batch prediction."""
