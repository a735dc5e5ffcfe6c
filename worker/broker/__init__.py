"""The way to RabbitMQ: connections that come back, deliveries, confirmed publishing, delays."""
