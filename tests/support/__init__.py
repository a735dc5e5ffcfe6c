"""What several tests need: topologies, workers, queues, a proxy that breaks connections."""
