"""The embedded platform: one supervisor, real servers as its child processes, data in one folder."""
