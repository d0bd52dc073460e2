"""How much embeddings know of what went in: entropies and mutual information, in nats."""
