"""The embedded platform: every part a child process of one supervisor."""
