"""The core: credits, grants, holds, events, the log with its one writer, and the follower loop."""
