"""Pages for people: one account's balance, top-ups, jobs and statement, behind a session that ends with its key.

Every form works without JavaScript. With it, answers are fragments that replace parts of the page by their id, and one
live stream a page brings the same fragments whenever something moves.
"""
