"""A node for machines without a GPU: speaks ComfyUI's protocol as recorded, paints pictures that say STAND-IN."""
