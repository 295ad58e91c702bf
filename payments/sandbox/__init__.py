"""A rail for development and demos: plays a provider outside, with books of its own. Off unless enabled."""
