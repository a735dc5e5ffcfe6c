"""Documents that the services of a platform share: the client of worker-api, and the encryption they have in common."""
