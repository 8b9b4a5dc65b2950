"""The WebSocket face: two streams, as their subscribers see them."""
