"""The catalog's facts carried over NATS: connect, provision, publish, batch, pull, ask, trace."""
