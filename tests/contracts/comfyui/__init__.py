"""The node's protocol as recorded from a real ComfyUI, and the executor's port over every node there is."""
